import { type Checkpoint, decodeEntry, decodeSegment, leafHash, openCheckpoint, TileTree } from '@sallyport/core'

/** What somebody outside has seen of a log: events whose append was acknowledged, and every checkpoint it signed. */
export class Witnessed {
  /** Index → the event's place. */
  readonly #acknowledged = new Map<number, number>()
  readonly #checkpoints = new Map<string, Checkpoint>()
  nextPlace = 0

  hear(line: string): void {
    const [first = '', second = ''] = line.split(' ')
    if (first === 'checkpoint') this.signed(Buffer.from(second, 'base64').toString())
    // A line that the kill cut short is no acknowledgement.
    else if (/^\d+$/.test(first) && /^\d+$/.test(second)) this.acknowledged(Number(first), Number(second))
  }

  signed(text: string): void {
    this.#checkpoints.set(text, openCheckpoint(text, []).checkpoint)
  }

  acknowledged(index: number, place: number): void {
    this.#acknowledged.set(index, place)
    this.nextPlace = Math.max(this.nextPlace, place + 1)
  }

  counts(): { readonly acknowledged: number; readonly checkpoints: number } {
    return { acknowledged: this.#acknowledged.size, checkpoints: this.#checkpoints.size }
  }

  /**
   * Everything that is not there, or is something else, in words; none when nothing was lost.
   * @param segments the log's files as they lie on its disk, in order
   */
  missingFrom(segments: Iterable<Uint8Array>): { readonly size: number; readonly lost: readonly string[] } {
    const lost: string[] = []
    const bySize = Map.groupBy(this.#checkpoints.values(), ({ size }) => size)
    const tree = new TileTree()
    const compare = (): void => {
      const root = bySize.has(tree.size) ? tree.root() : null
      for (const signed of bySize.get(tree.size) ?? [])
        if (root === null || Buffer.compare(signed.root, root) !== 0)
          lost.push(`the checkpoint of ${tree.size} entries has another root`)
      bySize.delete(tree.size)
    }
    compare()
    for (const entry of entriesOf(segments)) {
      const place = this.#acknowledged.get(tree.size)
      const found = place === undefined ? undefined : decodeEntry(entry).data['place']
      if (place !== undefined && found !== place) lost.push(`event ${tree.size} is ${JSON.stringify(found)}, not ${place}`)
      tree.append(leafHash(entry))
      compare()
    }
    for (const index of this.#acknowledged.keys()) if (index >= tree.size) lost.push(`event ${index} is not there`)
    for (const size of bySize.keys()) lost.push(`the checkpoint of ${size} entries is of more than there are`)
    return { size: tree.size, lost }
  }
}

function* entriesOf(segments: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const bytes of segments) for (const group of decodeSegment(bytes).groups) yield* group.entries
}
