/** What holds on this gate, said on every page (DESIGN §6). */
export interface Posture {
  readonly mode: 'solo' | 'team'
  readonly isolationLevel: 0 | 1 | 2 | 3
  readonly warnings: readonly string[]
}

/** The gate cannot see as which user agents run, so it believes the level it was started with, and 0 without one. */
export function judgePosture(mode: 'solo' | 'team', isolationLevel: 0 | 1 | 2 | 3, more: readonly string[] = []): Posture {
  const warnings: string[] = []
  if (isolationLevel === 0) {
    warnings.push(
      'An agent that runs as the gate’s own user can walk around Sallyport: it can read the credential files. Run the gate as another user. How: sallyport doctor, run as the agent’s user.',
    )
  }
  if (mode === 'solo') warnings.push('Solo mode: you approve what your own agents ask for, after a cool-off. Nobody else looks.')
  return { mode, isolationLevel, warnings: [...warnings, ...more] }
}
