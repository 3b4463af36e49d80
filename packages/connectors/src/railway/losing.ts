import type { Operation } from '@sallyport/core'

/** The call by which a volume would be lost. Anything else is copied by nobody here. */
export function losing(type: string, id: string): Operation | null {
  if (type !== 'volume') return null
  return {
    action: 'railway.volumeDelete',
    resources: [{ type: 'volume', name: id }],
    impact: { kind: 'destroy', reversible: false },
    why: 'volumeDelete: would delete it',
    context: {},
  }
}
