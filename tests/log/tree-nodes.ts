import { type Hash, type NodeReader, treeRoot } from '@sallyport/core'

/** The nodes over these leaves, each computed when it is asked for. */
export function nodesOf(leaves: readonly Hash[]): NodeReader {
  return { node: (level, index) => treeRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)) }
}
