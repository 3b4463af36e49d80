import type { ImpactKind, Operation } from '@sallyport/core'
import { makeOperation, shorten, type Context, type Handler } from './statement-context.ts'
import { collect } from './statement-contents.ts'
import { describeRoutineBody } from './statement-plpgsql.ts'
import { isOwnSetting, judgeSetting } from './statement-settings.ts'
import { conclude, withIndex } from './statement-verdict.ts'
import { bodies, child, isOn, list, named, nameParts, optionText, text, type Named, type Tree } from './parser-tree.ts'
import { quoteName } from './parser-quote.ts'
import { steadyBuiltins, volatileBuiltins } from './functions-catalog.ts'

/** Languages whose code may do to the server whatever its user may. */
const untrusted = /^(c|internal|.*u)$/
/** From mild to grave. Core's own list would pull the policy engine into the parser's worker. */
const order: readonly ImpactKind[] = ['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown']

function graver(left: ImpactKind, right: ImpactKind): ImpactKind {
  return order.indexOf(left) >= order.indexOf(right) ? left : right
}

function option(options: readonly Tree[], name: string): Tree | null {
  return options.find((candidate) => text(candidate, 'defname') === name) ?? null
}

export const describeDo: Handler = (body, context) => {
  const options = bodies(body, 'args', 'DefElem')
  const given = option(options, 'language')
  const language = given ? optionText(given['arg']).toLowerCase() : 'plpgsql'
  if (untrusted.test(language)) {
    return [
      makeOperation(
        {
          action: 'do',
          kind: 'escalate',
          reversible: false,
          why: `runs code in ${shorten(language)}, which reaches beyond the database`,
          resources: [{ type: 'language', name: language }],
        },
        context,
      ),
    ]
  }
  if (language !== 'plpgsql')
    return [
      makeOperation(
        { action: 'do', kind: 'unknown', why: `runs code in ${shorten(language)}, which this gate does not read` },
        context,
      ),
    ]
  return block('do', 'runs a block of PL/pgSQL', describeRoutineBody(context.sql, context), context)
}

/** One operation for the block itself, and all that is not a mere read in it. */
function block(action: string, why: string, inside: readonly Operation[], context: Context): readonly Operation[] {
  const reads = inside.filter((operation) => operation.impact.kind === 'read')
  const rest = inside.filter((operation) => operation.impact.kind !== 'read')
  const all = (key: string): string[] => [...new Set(reads.flatMap((operation) => strings(operation.context[key])))]
  const own = makeOperation(
    {
      action,
      kind: 'read',
      why,
      relations: all('relations'),
      builtins: all('builtins'),
      functions: all('functions'),
      extensionFunctions: all('extensionFunctions'),
      ownSettings: all('ownSettings'),
      changesSession: inside.some((operation) => operation.context['changesSession'] === true),
    },
    context,
  )
  return [own, ...rest.map((operation) => withIndex(operation, context))]
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item: unknown) => typeof item === 'string') : []
}

/** Whatever it is, a procedure is not there to be read from. */
export const describeCall: Handler = (body, context) =>
  conclude({ action: 'call', kind: 'write', why: 'calls a procedure' }, collect(body, context.ctes), context)

/**
 * A routine is judged by what it would do: triggers, views, defaults and the application may run it at once. Loss comes with the call, so the
 * definition itself can be taken back.
 */
export const describeCreateFunction: Handler = (body, context) => {
  const parts = nameParts(body, 'funcname') ?? []
  const options = bodies(body, 'options', 'DefElem')
  const language = languageOf(options, body)
  const isProcedure = body['is_procedure'] === true
  const resources = [{ type: isProcedure ? 'procedure' : 'function', name: quoteName(parts) }]
  const action = isProcedure ? 'create_procedure' : 'create_function'
  const run = distinct(bodyOperations(body, options, language, { ...context, mode: 'run' }), context)
  // one that is defined inside another text may never be defined at all
  if (context.isOutermost) remember(parts, body, run, context)
  if (untrusted.test(language)) {
    return [
      makeOperation(
        {
          action,
          kind: 'escalate',
          reversible: false,
          why: `defines code in ${shorten(language)}, which reaches beyond the database`,
          resources,
        },
        context,
      ),
    ]
  }
  const defined = distinct(bodyOperations(body, options, language, { ...context, mode: 'define' }), context)
  const worst = defined.reduce<ImpactKind>((kind, operation) => graver(kind, operation.impact.kind), 'write')
  const kind = weakens(options) ? graver('escalate', worst) : worst
  const culprit = defined.find((operation) => operation.impact.kind === worst && worst !== 'write')
  const why = culprit
    ? `defines a routine that ${culprit.why}`
    : kind === 'escalate'
      ? "defines a routine that runs with its owner's rights, or under other settings"
      : 'defines a routine'
  const [functions = [], relations = [], builtins = [], operators = [], fields = [], types = [], inside = []] = ledTo.map(
    (key) => [...new Set(defined.flatMap((operation) => strings(operation.context[key])))],
  )
  const bodyKind = defined.reduce<ImpactKind>(
    (gravest, operation) => graver(gravest, operation.impact.kind),
    setsGravely(options) ? 'escalate' : 'read',
  )
  const defaults = collect({ parameters: body['parameters'] ?? null }, context.ctes)
  const overwrites = defined.some(({ action: inside }) => overwriting.has(inside))
  return conclude(
    {
      action,
      kind,
      reversible: kind !== 'unknown',
      why,
      resources,
      functions,
      relations,
      builtins,
      operators,
      fields,
      types,
      ownSettings: [...inside, ...ownSettingsOf(options)],
      extra: { overwrites, bodyKind },
    },
    defaults,
    {
      ...context,
      mode: context.mode === 'plan' ? 'plan' : 'define',
    },
  )
}

/** Writes that only a look at the real keys tells from the loss of a whole table. */
const overwriting = new Set(['postgres.update', 'postgres.upsert', 'postgres.merge'])

/** Overloads add up: which one a call means, only the server knows. */
function remember(parts: readonly string[], body: Tree, run: readonly Operation[], context: Context): void {
  const name = parts.at(-1) ?? ''
  const before = context.batch.routines.get(name)
  const takesNothing = list(body, 'parameters').length === 0
  context.batch.routines.set(name, {
    operations: distinct([...(before?.operations ?? []), ...run], context),
    schema: parts.at(-2) ?? null,
    isPlain:
      takesNothing &&
      (before?.isPlain ?? true) &&
      (before === undefined || before.schema === (parts.at(-2) ?? null)) &&
      !isBuiltinName(name),
  })
}

/** What a statement may lead to beyond its text, and so a routine that holds it. */
const ledTo = ['functions', 'relations', 'builtins', 'operators', 'fields', 'types', 'ownSettings'] as const

/** Operations that one routine is remembered by. Routines that call each other would multiply them without end. */
const operationsMax = 200

function distinct(operations: readonly Operation[], context: Context): readonly Operation[] {
  const kept = [
    ...new Map(
      operations.map((operation) => [
        JSON.stringify([
          operation.action,
          operation.resources,
          operation.impact,
          ...ledTo.map((key) => operation.context[key] ?? null),
        ]),
        operation,
      ]),
    ).values(),
  ]
  if (kept.length <= operationsMax) return kept
  return [
    makeOperation({ action: 'routine', kind: 'unknown', why: 'does more things than this gate reads in one routine' }, context),
  ]
}

function isBuiltinName(name: string): boolean {
  return steadyBuiltins.has(name) || volatileBuiltins.has(name)
}

function languageOf(options: readonly Tree[], body: Tree): string {
  const given = option(options, 'language')
  if (given) return optionText(given['arg']).toLowerCase()
  return body['sql_body'] === undefined ? '' : 'sql'
}

/** SECURITY DEFINER, LEAKPROOF, and settings that switch protections off while it runs. */
function weakens(options: readonly Tree[]): boolean {
  return (
    setsGravely(options) ||
    options.some(
      (candidate) => (text(candidate, 'defname') === 'security' || text(candidate, 'defname') === 'leakproof') && isOn(candidate),
    )
  )
}

/** What is set while the routine runs. */
function settingsOf(options: readonly Tree[]): readonly Tree[] {
  return options.flatMap((candidate) => {
    const setting = named(candidate['arg'])
    return text(candidate, 'defname') === 'set' && setting?.type === 'VariableSetStmt' ? [setting.body] : []
  })
}

function ownSettingsOf(options: readonly Tree[]): readonly string[] {
  return settingsOf(options)
    .map((setting) => text(setting, 'name').toLowerCase())
    .filter(isOwnSetting)
}

function setsGravely(options: readonly Tree[]): boolean {
  return settingsOf(options).some(
    (setting) =>
      text(setting, 'name').toLowerCase() !== 'search_path' &&
      judgeSetting(text(setting, 'name'), list(setting, 'args').map(optionText)).kind !== 'read',
  )
}

/** In SQL routines a column wins over a parameter of its name: a call is judged as if no parameter limited anything. */
function bodyOperations(body: Tree, options: readonly Tree[], language: string, outer: Context): readonly Operation[] {
  const context = {
    ...outer,
    isOutermost: false,
    batch: { ...outer.batch, temporary: new Set<string>() },
    variables: language === 'plpgsql' || outer.mode === 'define' ? parameterNames(body) : new Set<string>(),
  }
  if (body['sql_body'] !== undefined) return sqlBody(body['sql_body'], context)
  if (language === 'plpgsql') return describeRoutineBody(context.sql, context)
  const source = list(named(option(options, 'as')?.['arg'])?.body ?? null, 'items')
  if (language === 'sql') return source.flatMap((item) => context.describeText(optionText(item), context))
  return [
    makeOperation(
      { action: 'routine', kind: 'unknown', why: `runs code in ${shorten(language)}, which this gate does not read` },
      context,
    ),
  ]
}

/** RETURN expression, or the statements between BEGIN ATOMIC and END. */
function sqlBody(value: Parameters<typeof named>[0], context: Context): readonly Operation[] {
  const node = named(value)
  if (!node)
    return [makeOperation({ action: 'routine', kind: 'unknown', why: 'has a body that this gate does not read' }, context)]
  return flatten(node).flatMap((statement) => context.describeNode(statement, context))
}

function flatten(node: Named): readonly Named[] {
  if (node.type !== 'List') return [node]
  return list(node.body, 'items').flatMap((item) => {
    const inner = named(item)
    return inner ? flatten(inner) : []
  })
}

function parameterNames(body: Tree): ReadonlySet<string> {
  return new Set(
    bodies(body, 'parameters', 'FunctionParameter').flatMap((parameter) =>
      text(parameter, 'name') === '' ? [] : [text(parameter, 'name')],
    ),
  )
}

export const describeAlterFunction: Handler = (body, context) => {
  const actions = bodies(body, 'actions', 'DefElem')
  const name = quoteName(nameParts(child(body, 'func'), 'objname') ?? [])
  const isGrave = weakens(actions)
  return [
    makeOperation(
      {
        action: 'alter_function',
        kind: isGrave ? 'escalate' : 'write',
        why: isGrave
          ? "makes a routine run with its owner's rights, or under other settings"
          : 'changes how a routine is planned',
        resources: [{ type: 'function', name }],
      },
      context,
    ),
  ]
}
