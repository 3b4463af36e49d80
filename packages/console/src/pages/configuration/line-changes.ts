export interface LineChange {
  readonly kind: 'same' | 'added' | 'removed'
  readonly text: string
}

/** Lines that are compared at most, of each text. */
const linesMax = 2_000

/** What became of a text, line by line, by their longest common sequence. Null: too long to compare. */
export function findLineChanges(before: string, after: string): readonly LineChange[] | null {
  const old = before.split('\n')
  const now = after.split('\n')
  if (old.length > linesMax || now.length > linesMax) return null
  const lengths = measureCommon(old, now)
  const changes: LineChange[] = []
  let at = 0
  let to = 0
  while (at < old.length || to < now.length) {
    const left = old[at]
    const right = now[to]
    if (left !== undefined && left === right) {
      changes.push({ kind: 'same', text: left })
      at += 1
      to += 1
    } else if (right === undefined || (left !== undefined && common(lengths, at + 1, to) >= common(lengths, at, to + 1))) {
      changes.push({ kind: 'removed', text: left ?? '' })
      at += 1
    } else {
      changes.push({ kind: 'added', text: right })
      to += 1
    }
  }
  return changes
}

type Lengths = readonly Uint16Array[]

function common(lengths: Lengths, at: number, to: number): number {
  return lengths[at]?.[to] ?? 0
}

/** For each pair of places, the lines that the rests have in common. */
function measureCommon(old: readonly string[], now: readonly string[]): Lengths {
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(now.length + 1))
  for (let at = old.length - 1; at >= 0; at -= 1) {
    const row = lengths[at]
    if (row === undefined) continue
    for (let to = now.length - 1; to >= 0; to -= 1)
      row[to] =
        old[at] === now[to]
          ? common(lengths, at + 1, to + 1) + 1
          : Math.max(common(lengths, at + 1, to), common(lengths, at, to + 1))
  }
  return lengths
}
