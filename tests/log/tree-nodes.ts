import { type Hash, type NodeReader, treeRoot } from '@sallyport/core'

/** The nodes over these leaves, each computed when it is first asked for. */
export function nodesOf(leaves: readonly Hash[]): NodeReader {
  const known = new Map<string, Hash>()
  return {
    node: (level, index) => {
      const key = `${level} ${index}`
      const hash = known.get(key) ?? treeRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level))
      known.set(key, hash)
      return hash
    },
  }
}
