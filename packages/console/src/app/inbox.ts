import type { InboxRequest } from '../shapes/requests.ts'

/** One row: a request, and how many like it are folded behind it. */
export interface Grouped {
  readonly request: InboxRequest
  readonly group: string
  /** Like it, and below it. On a row that others are folded behind; 0 on all others. */
  readonly further: number
  readonly isUnfolded: boolean
}

/** Like requests in one row, the newest in front, in the order given. What waits is never folded behind what is over, nor one decision behind another. */
export function groupRequests(requests: readonly InboxRequest[], unfolded: ReadonlySet<string>): readonly Grouped[] {
  const groups = new Map<string, InboxRequest[]>()
  for (const request of requests) {
    const group = `${request.like} ${request.state}`
    const known = groups.get(group)
    if (known === undefined) groups.set(group, [request])
    else known.push(request)
  }
  return [...groups].flatMap(([group, [first, ...rest]]) => {
    if (first === undefined) return []
    const isUnfolded = unfolded.has(group)
    const shown = isUnfolded ? rest.map((request) => ({ request, group, further: 0, isUnfolded })) : []
    return [{ request: first, group, further: rest.length, isUnfolded }, ...shown]
  })
}
