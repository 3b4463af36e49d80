/** More than strangers can begin while one lives, so that a flood pushes nobody's out. */
export const signInsMax = 20_000

/** Sign-ins at an identity provider that were begun. */
export interface SignIns {
  /** @param idSha256 of the secret that the browser which began it has */
  keep(idSha256: string, body: string, untilMs: number, nowMs: number): void
  /** Forgotten by the asking. Null: nobody began it, it was taken, or it took too long. */
  take(idSha256: string, nowMs: number): string | null
}

/** In memory: with one gate, what was begun ends with it. */
export function keepSignIns(): SignIns {
  const begun = new Map<string, { readonly body: string; readonly untilMs: number }>()
  return {
    keep: (idSha256, body, untilMs) => {
      begun.set(idSha256, { body, untilMs })
      if (begun.size > signInsMax) begun.delete(begun.keys().next().value ?? '')
    },
    take: (idSha256, nowMs) => {
      const found = begun.get(idSha256)
      begun.delete(idSha256)
      return found === undefined || found.untilMs <= nowMs ? null : found.body
    },
  }
}
