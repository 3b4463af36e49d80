import { hash } from 'node:crypto'
import { SallyportError, severity, type Operation, type Resource, type SqlAccess } from '@sallyport/core'
import { z } from 'zod'
import { parseShownName } from './catalog-name.ts'
import { describe } from './describe.ts'
import { judgeCall } from './functions.ts'
import { quoteName } from './parser-quote.ts'
import { givenByOid, readFunctions, readNamed, type Definition, type Functions, type Named } from './reach-catalog.ts'
import { findSettingReader } from './reach-setting.ts'
import { findUntrusted } from './resolve-extension.ts'

/** Views in views, functions in functions; and how many of them one request may lead to. */
const depthMax = 8
const definitionsMax = 100

const namesSchema = z.array(z.string()).catch([])

/** What one statement leads to that its text does not show. */
export interface Found {
  readonly why: string | null
  readonly kind: 'write' | 'disrupt' | 'escalate' | 'destroy' | 'unknown' | null
}

export interface Walk {
  readonly access: SqlAccess
  readonly seen: Set<string>
  /** Every definition that was read: an approval is void when one of them changes. */
  readonly resources: Resource[]
  /** Parameters of the application's own that what was read on the way sets. */
  readonly settings: Set<string>
}

export function listed(operation: Operation, key: string): readonly string[] {
  return namesSchema.parse(operation.context[key])
}

export function look(operations: readonly Operation[], { access }: Walk): Promise<Named> {
  const all = (key: string): readonly string[] => [...new Set(operations.flatMap((operation) => listed(operation, key)))]
  return either(access, (channel) =>
    readNamed(channel, {
      builtins: all('builtins').flatMap((name) => parseShownName(name)?.at(-1) ?? []),
      fields: all('fields'),
      types: all('types'),
      typeOids: all('typeOids'),
      operators: all('operators'),
      relations: [...all('relations'), ...operations.flatMap(movedViews)].flatMap((name) => parseShownName(name)?.at(-1) ?? []),
    }),
  )
}

/** The session knows its own uncommitted objects; where it can't be asked (mid-batch, or in a failed transaction), the catalog as others see it. */
export async function either<Out>(access: SqlAccess, ask: (channel: SqlAccess['session']) => Promise<Out>): Promise<Out> {
  try {
    return await ask(access.session)
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error
    return ask(access.protect)
  }
}

export const nothing: Found = { kind: null, why: null }

/** What policies, views and functions read is a label that decides: whoever sets it changes what others guard with it (DESIGN §2). */
export async function decidesBySetting(operation: Operation, { access, settings }: Walk): Promise<Found> {
  const names = listed(operation, 'ownSettings')
  if (names.length === 0) return nothing
  for (const name of names) settings.add(name)
  const reader = await either(access, (channel) => findSettingReader(channel, names))
  return reader === null ? nothing : { kind: 'escalate', why: `the ${reader.slice(0, 120)} goes by it, or may` }
}

/** Functions that are not the server's own. One with the name of an extension's may be somebody else's: those of extensions are left out when read. */
export function callsOf(operation: Operation): readonly string[] {
  return [...listed(operation, 'functions'), ...listed(operation, 'extensionFunctions')]
}

/** A write found on the way is no reason to stop looking. */
export function isGrave({ kind }: Found): boolean {
  return kind !== null && kind !== 'write'
}

export function gravest(left: Found, right: Found): Found {
  if (right.kind === null) return left
  return left.kind === null || severity(right.kind) > severity(left.kind) ? right : left
}

/**
 * Code that runs under the name of something harmless: an overload of the server's function, a function written as a column, an operator, the check of a
 * domain, a cast, a comparison, the policies of a table; and rows that come from elsewhere under the name of a table.
 */
export async function disguised(operation: Operation, named: Named, walk: Walk, depth: number): Promise<Found> {
  const last = (key: string): readonly string[] => listed(operation, key).flatMap((name) => parseShownName(name)?.at(-1) ?? [])
  const sets = {
    function: new Set([...last('builtins'), ...listed(operation, 'fields')]),
    operator: new Set(listed(operation, 'operators')),
    type: new Set([...listed(operation, 'types'), ...(listed(operation, 'typeOids').length > 0 ? [givenByOid] : [])]),
    relation: new Set(last('relations')),
  }
  const far = named.foreign.find((name) => sets.relation.has(name) && readsRows(operation, name))
  if (far !== undefined)
    return {
      kind: 'escalate',
      why: `the rows of ${far} come from another server, a file or a program, which Sallyport does not see`,
    }
  const hidden = named.hidden.filter(({ as, name }) => as === 'cast' || sets[as].has(name))
  const called = await followFunctions([...new Set(hidden.map((one) => quoteName([one.schema, one.calls])))], walk, depth)
  if (isGrave(called)) return called
  const expressions = named.expressions.filter(({ as, name }) => sets[as].has(name))
  return gravest(called, await followExpressions([...new Set(expressions.map(({ text }) => text))], walk, depth))
}

/** What is written to another server is judged as a write, and a definition reads no rows. */
function readsRows({ action, context }: Operation, name: string): boolean {
  const target = z.object({ name: z.string() }).safeParse(context['target'])
  return !action.startsWith('postgres.alter_') && !(target.success && target.data.name === name)
}

async function followExpressions(expressions: readonly string[], walk: Walk, depth: number): Promise<Found> {
  let worst = nothing
  for (const expression of expressions) {
    const key = `expression ${expression}`
    if (walk.seen.has(key)) continue
    walk.seen.add(key)
    const { kind, why } = await readQuery(`SELECT ${expression}`, walk, depth)
    if (kind !== null) worst = gravest(worst, { kind, why: `a check or a policy runs with it, which ${why ?? ''}` })
  }
  return worst
}

/** A view under another name is what others read by that name from now on: bodies of functions find relations when they run. */
function movedViews({ action, resources }: Operation): readonly string[] {
  return /^postgres\.(?:rename|set_schema)_(?:view|table)$/.test(action) ? resources.map(({ name }) => name) : []
}

export async function followViews(operation: Operation, named: Named, walk: Walk, depth: number): Promise<Found> {
  const wanted = [...listed(operation, 'relations'), ...movedViews(operation)].map((shown) => parseShownName(shown))
  let worst = nothing
  for (const view of named.views) {
    const isNamed = wanted.some((parts) => parts?.at(-1) === view.name && (parts.at(-2) ?? view.schema) === view.schema)
    // a materialized view holds rows: its query runs when it is made anew
    const runs = view.type === 'view' || operation.action === 'postgres.refresh_materialized_view'
    if (!isNamed || !runs) continue
    const { kind, why } = await readView(view, walk, depth)
    if (kind !== null) worst = gravest(worst, { kind, why: `reads the view ${view.schema}.${view.name}, which ${why ?? ''}` })
  }
  return worst
}

async function readView(view: Definition, walk: Walk, depth: number): Promise<Found> {
  return enter(view, walk) ? readQuery(view.definition, walk, depth) : nothing
}

/** A query that runs wherever its view is read, or its expression is computed. */
async function readQuery(sql: string, walk: Walk, depth: number): Promise<Found> {
  if (depth >= depthMax || walk.seen.size > definitionsMax) return tooFar
  const described = await describe({ sql })
  const inner = await look(described, walk)
  let worst = nothing
  for (const one of described) {
    const operation = await lowerByBodies(one, walk)
    const { kind } = operation.impact
    if (kind !== 'read' && kind !== 'write')
      return { kind: kind === 'unknown' || kind === 'escalate' ? kind : 'unknown', why: operation.why }
    if (kind === 'write') worst = gravest(worst, { kind, why: operation.why })
    worst = gravest(worst, await decidesBySetting(operation, walk))
    const found = await disguised(operation, inner, walk, depth + 1)
    const called = isGrave(found) ? nothing : await followFunctions(callsOf(operation), walk, depth + 1)
    const views = isGrave(called) ? nothing : await followViews(operation, inner, walk, depth + 1)
    worst = gravest(worst, gravest(found, gravest(called, views)))
    if (isGrave(worst)) return worst
  }
  return worst
}

/** What is unknown for its functions alone is known by what these do, once each of them is there to be read. */
async function lowerByBodies(operation: Operation, walk: Walk): Promise<Operation> {
  if (operation.impact.kind !== 'unknown' || operation.context['onlyFunctions'] !== true) return operation
  for (const name of listed(operation, 'functions')) {
    const [first, second, third] = parseShownName(name) ?? []
    if (first === undefined || third !== undefined) return operation
    const written = second === undefined ? { schema: null, name: first } : { schema: first, name: second }
    const { definitions } = await either(walk.access, (channel) => readFunctions(channel, [written]))
    if (definitions.length === 0) return operation
  }
  return { ...operation, impact: { kind: 'read', reversible: true } }
}

/** Functions that a definition calls, or that stand in what is not to be read but asked about: their bodies, and those that these call. */
export async function followFunctions(shown: readonly string[], walk: Walk, depth: number): Promise<Found> {
  const names = shown.map((name) => parseShownName(name))
  const functions = names.filter((parts) => parts !== null && parts.length <= 2)
  if (functions.length === 0)
    return shown.length === 0
      ? nothing
      : { kind: 'unknown', why: `calls ${shown[0]?.slice(0, 80) ?? ''}, of which nothing is known` }
  if (depth >= depthMax || walk.seen.size > definitionsMax) return tooFar
  const own = judgeOwn(functions)
  if (own.kind !== null) return own
  const found = await either(walk.access, (channel) =>
    readFunctions(
      channel,
      functions.map((parts) => ({ schema: parts?.at(-2) ?? null, name: parts?.at(-1) ?? '' })),
    ),
  )
  const strange = await either(walk.access, (channel) =>
    findUntrusted(
      channel,
      functions.flatMap((parts) => parts?.at(-1) ?? []),
    ),
  )
  if (strange !== null) return { kind: 'unknown', why: `calls ${strange} of an extension, which may do more than compute` }
  let worst = await followParts(found, walk, depth)
  for (const definition of found.definitions) worst = gravest(worst, await readFunction(definition, walk, depth))
  return worst
}

/** Functions of the server's own that an operator, a cast or an aggregate of somebody's own calls, with whatever it is given. */
function judgeOwn(functions: readonly (readonly string[] | null)[]): Found {
  for (const parts of functions) {
    if (parts?.length !== 2 || parts[0] !== 'pg_catalog') continue
    const { kind, why, name } = judgeCall(parts, anyArguments)
    if (kind !== 'read') return { kind, why: `calls ${name}, which ${why}` }
  }
  return nothing
}

const anyArguments = { args: Array.from({ length: 4 }, (_, index) => ({ ParamRef: { number: index + 1 } })) }

function followParts({ parts }: Functions, walk: Walk, depth: number): Promise<Found> {
  const shown = parts.map(({ schema, name }) => quoteName([schema, name])).filter((name) => !walk.seen.has(`part ${name}`))
  for (const name of shown) walk.seen.add(`part ${name}`)
  return followFunctions(shown, walk, depth + 1)
}

async function readFunction(definition: Definition, walk: Walk, depth: number): Promise<Found> {
  if (!enter(definition, walk)) return nothing
  const why = (what: string): string => `it calls ${definition.schema}.${definition.name}, which ${what}`
  let worst = nothing
  for (const operation of await describe({ sql: definition.definition })) {
    // whose rights it runs with was settled when it was made: what it does counts
    const kind = kindOfBody(operation)
    if (severity(kind) > severity('write')) return { kind: 'unknown', why: why(operation.why) }
    if (operation.context['overwrites'] === true) return { kind: 'unknown', why: why('overwrites rows') }
    if (kind !== 'read') worst = gravest(worst, { kind: 'write', why: why('changes something') })
    const decides = await decidesBySetting(operation, walk)
    if (decides.kind !== null) return { ...decides, why: why(`sets what ${decides.why ?? ''}`) }
    const inner = await followFunctions(callsOf(operation), walk, depth + 1)
    if (isGrave(inner)) return inner
    const named = await look([operation], walk)
    const hidden = await disguised(operation, named, walk, depth + 1)
    const led = isGrave(hidden) ? hidden : gravest(hidden, await followViews(operation, named, walk, depth + 1))
    if (led.kind !== null) worst = gravest(worst, { ...led, why: why(led.why ?? '') })
    worst = gravest(worst, inner)
  }
  return worst
}

const kindSchema = z.enum(['read', 'write', 'disrupt', 'escalate', 'destroy', 'unknown'])

function kindOfBody({ impact, context }: Operation): Operation['impact']['kind'] {
  const parsed = kindSchema.safeParse(context['bodyKind'])
  return parsed.success ? parsed.data : impact.kind
}

const tooFar: Found = { kind: 'unknown', why: 'it leads through more definitions than this gate reads' }

/** False when it was read before. */
function enter(definition: Definition, { seen, resources }: Walk): boolean {
  const key = `${definition.type} ${definition.oid}`
  if (seen.has(key)) return false
  seen.add(key)
  const { type, schema, name, oid } = definition
  resources.push({ type, name: `${schema}.${name}`, identity: oid, schemaHash: hash('sha256', definition.definition, 'hex') })
  return true
}
