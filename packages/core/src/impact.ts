/** What an operation would do, mildest first (DESIGN §2). `unknown` is never treated more mildly than `destroy`. */
export const impactKinds = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown'] as const
export type ImpactKind = (typeof impactKinds)[number]

/** The measured blast radius of one operation. A missing count means: not counted, and no limit may treat it as zero. */
export interface Scope {
  /** Rows changed or lost, cascades included. An upper bound unless `exact`. */
  readonly rows?: number
  readonly bytes?: number
  /** Relations (or other things) that lose data, cascades included. */
  readonly tables?: readonly string[]
  /** What depends on the target and breaks or goes with it: views, foreign keys, functions. */
  readonly dependants?: readonly string[]
  readonly exact: boolean
}

export interface Impact {
  readonly kind: ImpactKind
  /** Of the operation alone, before any copy. */
  readonly reversible: boolean
  /** Set by protect, when a proven copy makes the operation undoable. */
  readonly undoable?: boolean
  readonly scope?: Scope
}

export function severity(kind: ImpactKind): number {
  return impactKinds.indexOf(kind)
}

/** The worst of several kinds; `read` for none. */
export function worstKind(kinds: readonly ImpactKind[]): ImpactKind {
  return kinds.reduce<ImpactKind>((worst, kind) => (severity(kind) > severity(worst) ? kind : worst), 'read')
}
