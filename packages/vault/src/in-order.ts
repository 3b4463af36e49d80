/** Runs a job over items, at most `width` at a time, and gives the results in the items' order. After a failure no more are begun. */
export async function* inOrder<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  width: number,
  job: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const begun: Promise<Result>[] = []
  try {
    for await (const item of items) {
      const oldest = begun.length >= width ? begun.shift() : undefined
      if (oldest) yield await oldest
      const result = job(item)
      // Awaited later, in order; without this a failure before that would count as unhandled.
      result.catch(() => undefined)
      begun.push(result)
    }
    for (let oldest = begun.shift(); oldest; oldest = begun.shift()) yield await oldest
  } finally {
    await Promise.allSettled(begun)
  }
}
