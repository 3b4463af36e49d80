import type { ImpactKind, Json, Operation, Resource } from '@sallyport/core'
import type { Named, Tree } from './parser-tree.ts'

/** A token of the text; offsets are bytes of its UTF-8. */
export interface Token {
  readonly start: number
  readonly end: number
  readonly text: string
  readonly name: string
}

/** PostgreSQL's own parser. Each throws for what it refuses. */
export interface Parser {
  parse(sql: string): Tree
  parseRoutine(sql: string): Tree
  scan(sql: string): readonly Token[]
}

/** What earlier statements of the same text made, that later ones may use. */
export interface Batch {
  /** Names of temporary tables that certainly exist when the next statement runs. */
  readonly temporary: Set<string>
  /** What calling a routine does that this text defined, by its bare name. */
  readonly routines: Map<string, Routine>
  readonly prepared: Map<string, readonly Operation[]>
}

/** A routine that this text defined. */
export interface Routine {
  readonly operations: readonly Operation[]
  /** It takes nothing, and stands in this schema (null: wherever the search path begins): a call with no argument is this one and no other. */
  readonly schema: string | null
  readonly isPlain: boolean
}

/**
 * run: the statement runs now. plan: it is only planned (EXPLAIN). define: it is kept for later (a default, a trigger), where a call of a foreign
 * function is judged when it is made.
 */
export type Mode = 'run' | 'plan' | 'define'

/** Everything a handler may know besides its node. */
export interface Context {
  readonly parser: Parser
  readonly batch: Batch
  /** The text of the statement around, and where in the whole request it stands. */
  readonly sql: string
  readonly statementIndex: number
  /** True for a statement of the request itself, not one inside another. */
  readonly isOutermost: boolean
  /** Texts inside texts: DO in a function in a string. */
  readonly depth: number
  /** Variables of the surrounding routine that hold one value while a statement runs. */
  readonly variables: ReadonlySet<string>
  /** Names of common table expressions in sight, with their query where it is a SELECT. */
  readonly ctes: ReadonlyMap<string, Tree>
  readonly mode: Mode
  /** Inside a loop of a routine: what picks one row picks another each time round. */
  readonly isRepeated: boolean
  describeNode(node: Named, context: Context): readonly Operation[]
  describeText(sql: string, context: Context): readonly Operation[]
}

export type Handler = (body: Tree, context: Context) => readonly Operation[]

export interface Draft {
  /** After `postgres.`. */
  readonly action: string
  readonly kind: ImpactKind
  /** Absent: false for destroy and unknown, else true. */
  readonly reversible?: boolean
  readonly why: string
  readonly resources?: readonly Resource[]
  readonly relations?: readonly string[]
  readonly functions?: readonly string[]
  readonly extensionFunctions?: readonly string[]
  readonly builtins?: readonly string[]
  readonly operators?: readonly string[]
  readonly fields?: readonly string[]
  readonly types?: readonly string[]
  readonly rememberable?: boolean
  readonly transactionControl?: boolean
  readonly runsInTransaction?: boolean
  readonly changesSession?: boolean
  /** Parameters of the application's own that it sets. */
  readonly ownSettings?: readonly string[]
  readonly cascade?: boolean
  /** More for the context. */
  readonly extra?: { readonly [key: string]: Json }
}

/**
 * Whether the verdict can depend on the digits of numbers: not for rows added as such, and not for an UPDATE whose key is compared by = in the
 * top-level AND, where only the value differs.
 */
function isFoldable({ action, extra }: Draft): boolean {
  const equality = extra?.['keyEquality']
  return action === 'insert' || (action === 'update' && Array.isArray(equality) && equality.length > 0)
}

const ownSchemas = /^(?:pg_catalog|information_schema)\./

/** Whether a read names anything that may run code which only the catalog shows: a view, an overload, an operator, a function behind a dot, a domain. */
function isProvisional({
  kind,
  extensionFunctions = [],
  relations = [],
  builtins = [],
  operators = [],
  fields = [],
  types = [],
  ownSettings = [],
}: Draft): boolean {
  if (extensionFunctions.length + ownSettings.length > 0) return true
  if (kind !== 'read') return false
  return relations.some((name) => !ownSchemas.test(name)) || builtins.length + operators.length + fields.length + types.length > 0
}

export function makeOperation(draft: Draft, context: Pick<Context, 'statementIndex'>): Operation {
  const reversible = draft.reversible ?? !(draft.kind === 'destroy' || draft.kind === 'unknown')
  return {
    action: `postgres.${draft.action}`,
    resources: draft.resources ?? [],
    impact: { kind: draft.kind, reversible },
    why: draft.why,
    context: {
      statementIndex: context.statementIndex,
      rememberable: draft.rememberable === true && draft.kind === 'read',
      transactionControl: draft.transactionControl ?? false,
      runsInTransaction: draft.runsInTransaction ?? true,
      changesSession: draft.changesSession ?? false,
      functions: draft.functions ?? [],
      extensionFunctions: draft.extensionFunctions ?? [],
      // Says to the pipeline: only the catalog can confirm this.
      provisional: isProvisional(draft),
      builtins: draft.builtins ?? [],
      operators: draft.operators ?? [],
      fields: draft.fields ?? [],
      types: draft.types ?? [],
      relations: draft.relations ?? [],
      foldable: isFoldable(draft),
      cascade: draft.cascade ?? false,
      ...(draft.ownSettings === undefined || draft.ownSettings.length === 0 ? {} : { ownSettings: draft.ownSettings }),
      ...draft.extra,
    },
  }
}

/** Names quoted from hostile text are shown in sentences: cut to what a sentence bears. */
export function shorten(name: string): string {
  const max = 80
  return name.length <= max ? name : `${name.slice(0, max)}…`
}
