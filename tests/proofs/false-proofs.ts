import {
  consistencyProof,
  type Hash,
  inclusionProof,
  isSignedByLog,
  leafHash,
  LogFormatError,
  type NodeReader,
  noteSigner,
  openCheckpoint,
  signCheckpoint,
  TileTree,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '@sallyport/core'
import { below, seeded } from './seeded.ts'

/**
 * Tries to pass false proofs. Two histories, `honest` and `forked`, share a beginning; sizes and roots are always those of one of them, for a root
 * is believed only as a checkpoint's, with its size. Everything else is changed, cut, extended and recombined. A proof may be accepted only when
 * what it says is so, and then only as it was made.
 */
const leavesMax = 600
const sharedLeaves = 217
/** Proofs made beforehand, out of which false ones are put together. */
const madeOfEach = 1_500
const checkpointShare = 0.1

interface History {
  readonly leaves: readonly Hash[]
  readonly roots: readonly Hash[]
  readonly nodes: NodeReader
}

interface Claim {
  readonly history: History
  readonly index: number
  readonly size: number
  readonly proof: readonly Hash[]
}

export interface Tried {
  readonly seed: number
  tries: number
  inclusion: number
  consistency: number
  checkpoints: number
  /** Changed in a way that changes nothing, or that says something else that is so: rightly accepted. */
  true: number
  readonly accepted: string[]
}

function makeHistory(name: string, shared: readonly Hash[]): History {
  const own = Array.from({ length: leavesMax - shared.length }, (_, place) => leafHash(Buffer.from(`${name} ${place}`)))
  const leaves = [...shared, ...own]
  const tree = new TileTree()
  const roots = [
    tree.root(),
    ...leaves.map((leaf) => {
      tree.append(leaf)
      return tree.root()
    }),
  ]
  const known = new Map<number, Hash>()
  const nodes: NodeReader = {
    node: (level, index) => {
      const key = level * 2 ** 32 + index
      let hash = known.get(key)
      if (hash === undefined) {
        hash = treeRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level))
        known.set(key, hash)
      }
      return hash
    },
  }
  return { leaves, roots, nodes }
}

const same = (left: Hash | undefined, right: Hash | undefined): boolean =>
  left !== undefined && right !== undefined && Buffer.compare(left, right) === 0

const sameProof = (left: readonly Hash[], right: readonly Hash[]): boolean =>
  left.length === right.length && left.every((hash, place) => same(hash, right[place]))

export class FalseProofs {
  readonly tried: Tried
  readonly #chance: () => number
  readonly #honest: History
  readonly #forked: History
  readonly #inclusions: Claim[] = []
  /** `index` is the old size. */
  readonly #consistencies: Claim[] = []
  readonly #checkpoints: string[] = []
  readonly #signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
  readonly #stranger = noteSigner('gate.example/log', Buffer.alloc(32, 8))

  private constructor(seed: number) {
    this.tried = { seed, tries: 0, inclusion: 0, consistency: 0, checkpoints: 0, true: 0, accepted: [] }
    this.#chance = seeded(seed)
    const shared = Array.from({ length: sharedLeaves }, (_, place) => leafHash(Buffer.from(`shared ${place}`)))
    this.#honest = makeHistory('honest', shared)
    this.#forked = makeHistory('forked', shared)
  }

  static async prepare(seed: number): Promise<FalseProofs> {
    const made = new FalseProofs(seed)
    await made.#make()
    return made
  }

  async #make(): Promise<void> {
    for (let count = 0; count < madeOfEach; count += 1) {
      const history = this.#pick([this.#honest, this.#forked])
      const size = 1 + below(this.#chance, leavesMax)
      const index = below(this.#chance, size)
      this.#inclusions.push({ history, index, size, proof: await inclusionProof(history.nodes, index, size) })
      const old = 1 + below(this.#chance, size)
      this.#consistencies.push({ history, index: old, size, proof: await consistencyProof(history.nodes, old, size) })
      const root = history.roots[size] ?? Buffer.alloc(32)
      this.#checkpoints.push(signCheckpoint({ origin: this.#signer.key.name, size, root }, this.#signer))
    }
  }

  #pick<Item>(items: readonly Item[]): Item {
    const item = items[below(this.#chance, items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  async tryOnce(): Promise<void> {
    this.tried.tries += 1
    const way = this.#chance()
    if (way < checkpointShare) this.#tryCheckpoint()
    else if (way < 0.55) await this.#tryInclusion()
    else await this.#tryConsistency()
  }

  async #tryInclusion(): Promise<void> {
    this.tried.inclusion += 1
    const base = this.#pick(this.#inclusions)
    // What is claimed: a leaf, a place, and a tree that somebody signed.
    const history = this.#chance() < 0.2 ? this.#pick([this.#honest, this.#forked]) : base.history
    const size = this.#chance() < 0.2 ? 1 + below(this.#chance, leavesMax) : base.size
    const index = this.#chance() < 0.3 ? below(this.#chance, size) : base.index
    const leaf = this.#chance() < 0.3 ? this.#strangeHash() : (base.history.leaves[base.index] ?? this.#strangeHash())
    const proof = this.#changed(base.proof, this.#inclusions)
    const root = history.roots[size] ?? Buffer.alloc(32)
    if (!verifyInclusion(leaf, index, size, proof, root)) return
    const isTrue = same(leaf, history.leaves[index]) && sameProof(proof, await inclusionProof(history.nodes, index, size))
    this.#judge(isTrue, () => `inclusion of ${index} in ${size}`)
  }

  async #tryConsistency(): Promise<void> {
    this.tried.consistency += 1
    const base = this.#pick(this.#consistencies)
    const older = this.#chance() < 0.4 ? this.#pick([this.#honest, this.#forked]) : base.history
    const newer = this.#chance() < 0.2 ? this.#pick([this.#honest, this.#forked]) : base.history
    const old = this.#chance() < 0.2 ? 1 + below(this.#chance, leavesMax) : base.index
    const size = this.#chance() < 0.2 ? 1 + below(this.#chance, leavesMax) : base.size
    const proof = this.#changed(base.proof, this.#consistencies)
    const oldRoot = older.roots[old] ?? Buffer.alloc(32)
    const newRoot = newer.roots[size] ?? Buffer.alloc(32)
    if (!verifyConsistency(old, oldRoot, size, newRoot, proof)) return
    const isTrue =
      old <= size && same(oldRoot, newer.roots[old]) && sameProof(proof, await consistencyProof(newer.nodes, old, size))
    this.#judge(isTrue, () => `consistency of ${old} with ${size}`)
  }

  #tryCheckpoint(): void {
    this.tried.checkpoints += 1
    const text = this.#pick(this.#checkpoints)
    const changed = this.#changedText(text)
    try {
      const { verdict, note } = openCheckpoint(changed, [this.#signer.key])
      if (!isSignedByLog(verdict)) return
      const original = this.#checkpoints.find((one) => one.startsWith(`${note.text}\n`))
      this.#judge(original !== undefined, () => `checkpoint ${JSON.stringify(changed)}`)
    } catch (error) {
      // Anything else that a decoder throws is a defect of its own.
      if (!(error instanceof LogFormatError)) this.tried.accepted.push(`threw ${String(error)} for ${JSON.stringify(changed)}`)
    }
  }

  #judge(isTrue: boolean, describe: () => string): void {
    if (isTrue) this.tried.true += 1
    else this.tried.accepted.push(`seed ${this.tried.seed}, try ${this.tried.tries}: ${describe()}`)
  }

  #strangeHash(): Hash {
    const from = this.#pick([this.#honest, this.#forked])
    const way = this.#chance()
    if (way < 0.4) return this.#pick(from.leaves)
    if (way < 0.7) return this.#pick(from.roots)
    return leafHash(Buffer.from(String(this.#chance())))
  }

  #changed(proof: readonly Hash[], others: readonly Claim[]): readonly Hash[] {
    let changed = [...proof]
    for (let changes = below(this.#chance, 4); changes > 0; changes -= 1) changed = this.#changedOnce(changed, others)
    return changed
  }

  #changedOnce(proof: readonly Hash[], others: readonly Claim[]): Hash[] {
    const at = below(this.#chance, proof.length + 1)
    const before = proof.slice(0, at)
    const chosen = proof[at]
    const after = proof.slice(at + 1)
    switch (below(this.#chance, 9)) {
      case 0:
        return chosen === undefined ? [...proof] : [...before, this.#flipped(chosen), ...after]
      case 1:
        return [...before, ...after]
      case 2:
        return [...before, this.#strangeHash(), ...proof.slice(at)]
      case 3:
        return chosen === undefined ? [...proof] : [...before, chosen, chosen, ...after]
      case 4:
        return chosen === undefined ? [...proof] : [...after, chosen, ...before]
      case 5:
        // The beginning of this one and the end of another.
        return [...before, ...this.#pick(others).proof.slice(at)]
      case 6:
        return [...this.#pick(others).proof]
      case 7:
        return chosen === undefined ? [...proof] : [...before, chosen.subarray(0, below(this.#chance, 32)), ...after]
      default:
        return [...before, this.#strangeHash(), ...after]
    }
  }

  #flipped(hash: Hash): Hash {
    const copy = Buffer.from(hash)
    const bit = below(this.#chance, copy.length * 8)
    const at = Math.floor(bit / 8)
    copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8))
    return copy
  }

  #changedText(text: string): string {
    const at = below(this.#chance, text.length)
    const other = this.#pick(this.#checkpoints)
    const split = text.indexOf('\n\n')
    switch (below(this.#chance, 8)) {
      case 0:
        return `${text.slice(0, at)}${String.fromCharCode(32 + below(this.#chance, 95))}${text.slice(at + 1)}`
      case 1:
        return text.slice(0, at)
      case 2:
        return `${text.slice(0, at)}\n${text.slice(at)}`
      case 3:
        // One's text under another's signature.
        return `${text.slice(0, split)}${other.slice(other.indexOf('\n\n'))}`
      case 4:
        return `${text.slice(0, split + 1)}extension\n${text.slice(split + 1)}`
      case 5:
        return `${text}${other.slice(other.indexOf('\n\n') + 2)}`
      case 6:
        return signCheckpoint({ origin: this.#signer.key.name, size: at, root: this.#strangeHash() }, this.#stranger)
      default:
        return `${other.slice(0, other.indexOf('\n') + 1)}${text}`
    }
  }
}
