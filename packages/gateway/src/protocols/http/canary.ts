import { hash } from 'node:crypto'

/** A token that was planted: it opens nothing, and nobody has a reason to use it. */
export interface Canary {
  /** SHA-256 of the token as it was planted, hex. */
  readonly sha256: string
  /** Where it was planted: where whoever uses it has looked. */
  readonly file: string
  /** Whose token it looks like. */
  readonly host: string
}

/** What the operator planted, as it is now. */
export interface Canaries {
  /** The canary with this digest, null for none. */
  find(sha256: string): Canary | null
  readonly isEmpty: boolean
}

export interface FoundCanary {
  readonly canary: Canary
  readonly place: string
}

/** Canaries are UUIDs, so this is all that has to be digested. Any of them may begin inside another text that looks like one. */
const uuidStart = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi
const bareUuid = /(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/gi
const hyphensAfter = /^(.{8})(.{4})(.{4})(.{4})/

/** The first canary in these texts, whatever stands around it and whatever it is called. */
export function findCanary(
  canaries: Canaries,
  texts: Iterable<{ readonly place: string; readonly text: string }>,
): FoundCanary | null {
  if (canaries.isEmpty) return null
  for (const { place, text } of texts) {
    for (const token of readUuids(text)) {
      const canary = canaries.find(hash('sha256', token, 'hex'))
      if (canary !== null) return { canary, place }
    }
  }
  return null
}

/** In the writing in which they are planted: lower case, with hyphens. */
function* readUuids(text: string): Generator<string, void> {
  for (let found = matchFrom(text, 0); found !== null; found = matchFrom(text, found.index + 1)) yield found[0].toLowerCase()
  for (const [bare] of text.matchAll(bareUuid)) yield bare.toLowerCase().replace(hyphensAfter, '$1-$2-$3-$4-')
}

function matchFrom(text: string, from: number): RegExpExecArray | null {
  uuidStart.lastIndex = from
  return uuidStart.exec(text)
}
