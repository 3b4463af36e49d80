import type { Json } from '@sallyport/core'
import { steadyBuiltins, steadyExtensionFunctions, volatileBuiltins } from './functions-catalog.ts'
import {
  extensionImpacts,
  harmlessExtensionFunctions,
  relationArguments,
  sqlArguments,
  volatileImpacts,
  wellKnownFunctions,
  type FunctionImpact,
} from './functions-volatile.ts'
import { constantInteger, constantText, list, named, optionText, type Tree } from './parser-tree.ts'
import { quoteName } from './parser-quote.ts'
import { isSecretSettingName } from './statement-secret.ts'
import { isOwnSetting, judgeSetting } from './statement-settings.ts'

/** What is known of one call in the text. */
export interface Judgement extends FunctionImpact {
  /** As SQL would write it. */
  readonly name: string
  /**
   * builtin: of pg_catalog. extension: assumed to be of a well-known extension, to be proven by resolve. foreign: anybody's.
   * A builtin can be shadowed only by a function that fits the arguments better: resolve looks for that too.
   */
  readonly origin: 'builtin' | 'extension' | 'foreign'
  /** SQL that the call runs, to be described as well. */
  readonly runs: readonly string[]
  /** Relations that the call reads, named by text: the parts of each name. */
  readonly reads: readonly (readonly string[])[]
}

/** Where the functions of extensions live when nobody moved them. */
const extensionSchemas = new Set<string | null>([null, 'public', 'extensions'])
/** INV_WRITE of lo_open. */
const openForWriting = 0x20000

export function judgeCall(parts: readonly string[], call: Tree): Judgement {
  const name = parts.at(-1) ?? ''
  const schema = parts.at(-2) ?? null
  const shown = quoteName(parts)
  const dotted = `${schema ?? ''}.${name}`
  const isBuiltinPlace = parts.length <= 2 && (schema === null || schema === 'pg_catalog')
  const harmful = extensionImpacts.get(dotted) ?? extensionImpacts.get(name) ?? judgeIndexCheck(name, list(call, 'args'))
  if (harmful && !(isBuiltinPlace && steadyBuiltins.has(name)))
    return withTexts({ ...harmful, name: shown, origin: 'extension', runs: [], reads: [] }, name, dotted, call)
  if (sqlArguments.has(dotted)) {
    return withTexts(
      {
        kind: 'disrupt',
        reversible: true,
        why: 'schedules SQL for later',
        name: shown,
        origin: 'extension',
        runs: [],
        reads: [],
      },
      name,
      dotted,
      call,
    )
  }
  if (isBuiltinPlace) {
    const builtin = judgeBuiltin(name, call)
    if (builtin) return withTexts({ runs: [], reads: [], ...builtin, name: shown, origin: 'builtin' }, name, dotted, call)
  }
  if (parts.length <= 2 && extensionSchemas.has(schema) && isPlainExtensionFunction(name)) {
    return withTexts(
      {
        kind: 'read',
        reversible: true,
        why: 'a function of a well-known extension that changes nothing',
        name: shown,
        origin: 'extension',
        runs: [],
        reads: [],
      },
      name,
      dotted,
      call,
    )
  }
  return {
    kind: 'unknown',
    reversible: false,
    why: `calls ${shown}, of which the text alone says nothing`,
    name: shown,
    origin: 'foreign',
    runs: [],
    reads: [],
  }
}

/** With more than the index it reads the whole table, and computes the index's expressions anew. */
function judgeIndexCheck(name: string, values: readonly Json[]): FunctionImpact | undefined {
  if (name !== 'bt_index_check' || values.length < 2) return undefined
  return { kind: 'disrupt', reversible: true, why: 'reads a whole table and computes what its index holds' }
}

function isPlainExtensionFunction(name: string): boolean {
  return [steadyExtensionFunctions, harmlessExtensionFunctions, wellKnownFunctions, sqlArguments].some((names) => names.has(name))
}

type Builtin = FunctionImpact & { readonly reads?: readonly (readonly string[])[] }

function judgeBuiltin(name: string, call: Tree): Builtin | null {
  if (name === 'set_config') return judgeSetConfig(list(call, 'args'))
  if (name === 'current_setting') return judgeCurrentSetting(list(call, 'args'))
  if (name === 'lo_open') return judgeOpen(list(call, 'args'))
  if (relationArguments.has(name)) return judgeRelationText(name, list(call, 'args'))
  if (sqlArguments.has(name)) return { kind: 'read', reversible: true, why: 'runs a query given as text', forgetful: true }
  const volatile = volatileImpacts.get(name)
  if (volatile) return volatile
  if (volatileBuiltins.has(name))
    return { kind: 'unknown', reversible: false, why: `calls ${name}, which is not meant for queries` }
  return steadyBuiltins.has(name) ? { kind: 'read', reversible: true, why: 'computes only' } : null
}

function judgeSetConfig(values: readonly Json[]): Builtin {
  const name = constantText(values[0])
  if (name === null)
    return {
      kind: 'escalate',
      reversible: true,
      why: 'changes a setting whose name the text does not show',
      changesSession: true,
      forgetful: true,
    }
  const value = values[1]
  const constant = named(value)?.type === 'A_Const' || named(value)?.type === 'TypeCast' ? optionText(value) : null
  // A value that is computed may be any: the graver reading for switches that have a harmless side.
  const impact = judgeSetting(name, [constant ?? (name.toLowerCase() === 'client_encoding' ? '' : 'off')])
  const own = isOwnSetting(name) ? { ownSetting: name.toLowerCase() } : {}
  return { ...impact, ...own, changesSession: true, forgetful: true }
}

/** Reads what SHOW shows. A name that is computed may be any. */
function judgeCurrentSetting(values: readonly Json[]): Builtin {
  const name = constantText(values[0])
  if (name === null) return { kind: 'escalate', reversible: true, why: 'reads a setting whose name the text does not show' }
  return isSecretSettingName(name)
    ? { kind: 'escalate', reversible: true, why: 'reads a setting that may hold a credential' }
    : { kind: 'read', reversible: true, why: 'reads a setting' }
}

function judgeOpen(values: readonly Json[]): Builtin {
  const flags = constantInteger(values[1])
  const writes = flags === null || (flags & openForWriting) !== 0
  return writes
    ? { kind: 'write', reversible: true, why: 'opens a large object for writing', forgetful: true }
    : { kind: 'read', reversible: true, why: 'opens a large object for reading', forgetful: true }
}

function judgeRelationText(name: string, values: readonly Json[]): Builtin {
  const target = constantText(values[0])
  if (name.startsWith('database_to')) return { kind: 'escalate', reversible: true, why: 'reads every table the role can see' }
  if (target === null) return { kind: 'unknown', reversible: false, why: 'reads a relation that the text does not show' }
  if (name.startsWith('schema_to')) {
    const grave = /^(pg_|information_schema|vault|auth|pgsodium)/.test(target)
    if (grave) return { kind: 'escalate', reversible: true, why: 'reads a schema that holds secrets' }
    // the rows of every table come with it, and every view runs; a schema's description is only a description
    return name === 'schema_to_xmlschema'
      ? { kind: 'read', reversible: true, why: 'describes a schema' }
      : { kind: 'escalate', reversible: true, why: 'reads every table of a schema and runs every view' }
  }
  const parts = relationParts(target)
  if (parts === null) return { kind: 'unknown', reversible: false, why: 'reads a relation by a name that the text does not show' }
  return { kind: 'read', reversible: true, why: 'reads a relation', reads: [parts] }
}

/** The text of a regclass as the server reads it. Null for an oid, for blanks between the parts, and for whatever else names a table in disguise. */
function relationParts(text: string): readonly string[] | null {
  if (!/^(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)(?:\.(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)){0,2}$/.test(text)) return null
  return [...text.matchAll(/"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*)/g)].map(
    ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare?.toLowerCase() ?? '',
  )
}

/** Adds the SQL texts a call runs; a text that is not a constant makes the call unknown. */
function withTexts(judgement: Judgement, name: string, dotted: string, call: Tree): Judgement {
  const places = sqlArguments.get(dotted) ?? sqlArguments.get(name)
  if (!places) return judgement
  const values = list(call, 'args')
  if (name === 'ts_rewrite' && values.length === 3) return judgement
  const runs: string[] = []
  for (const place of places) {
    const value = values[place]
    if (value === undefined) continue
    const constant = constantText(value)
    if (constant !== null) {
      const isLast = !places.some((other) => other > place && values[other] !== undefined)
      if (isLast || !isConnection(constant) || !mayTakeConnection(name)) runs.push(constant)
      continue
    }
    return {
      ...judgement,
      kind: 'unknown',
      reversible: false,
      why: `${judgement.name} runs SQL that the text does not show`,
      runs,
      forgetful: true,
    }
  }
  return { ...judgement, runs, forgetful: true }
}

/** Functions that take a connection or a schedule before their SQL, or leave it out. */
function mayTakeConnection(name: string): boolean {
  return name.startsWith('dblink') || name.startsWith('schedule')
}

/** The name of a connection, a connection string, or a schedule: no SQL of more than one word begins like these. */
function isConnection(constant: string): boolean {
  return /^\s*(?:[\w-]*\s*$|\w+\s*=|postgres(?:ql)?:\/\/|[\d*@])/i.test(constant)
}
