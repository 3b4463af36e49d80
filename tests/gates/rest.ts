const lookEveryMs = 20

/** Lets time pass, which is what a run is about. */
export async function rest(ms: number): Promise<void> {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
}
