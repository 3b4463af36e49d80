import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { steadyBuiltins, volatileBuiltins } from './functions-catalog.ts'
import { volatileImpacts } from './functions-volatile.ts'
import { judgeCall } from './functions.ts'
import { handlers } from './statement-handlers.ts'
import { quietNodes } from './statement-nodes.ts'

const types = readFileSync(
  createRequire(import.meta.url)
    .resolve('@pgsql/types')
    .replace(/index\.js$/, 'types.d.ts'),
  'utf8',
)
const union = /export type Node = ([\s\S]*?);\n(?:export|$)/.exec(types)?.[1] ?? ''
const names = [...union.matchAll(/^ {4}(\w+): \w+;$/gm)].map(([, name]) => name ?? '')

/** Statements that only wrap, or that only the server's later stages make. */
const notStatements = new Set(['RawStmt', 'SetOperationStmt', 'PLAssignStmt'])

/** Volatile functions that stay unknown on purpose: trigger functions, handlers, upgrade functions, and what nobody should call. */
const deliberatelyUnknown =
  /^(RI_FKey_|binary_upgrade_|plpgsql_|dsnowball_|.*handler$|suppress_redundant_updates_trigger$|tsvector_update_trigger|unique_key_recheck$|pg_stop_making_pinned_objects$)/
/** Volatile functions that are judged by their arguments, not by a table. */
const byArguments = new Set([
  'set_config',
  'lo_open',
  'query_to_xml',
  'query_to_xmlschema',
  'query_to_xml_and_xmlschema',
  'ts_stat',
  'ts_rewrite',
])

describe('the tables are whole', () => {
  test('every statement of the grammar has a handler, and no handler is for something else', () => {
    const statements = names.filter((name) => name.endsWith('Stmt') && !notStatements.has(name))
    expect(statements.length).toBeGreaterThan(110)
    expect(Object.keys(handlers).sort()).toEqual([...statements].sort())
  })

  test('a node that is only walked is in the grammar, and is no statement', () => {
    for (const name of quietNodes) {
      expect(names, name).toContain(name)
      expect(name.endsWith('Stmt'), name).toBe(false)
    }
  })

  test('every volatile function of PostgreSQL is judged, or unknown on purpose', () => {
    const open = [...volatileBuiltins].filter(
      (name) => !volatileImpacts.has(name) && !byArguments.has(name) && !deliberatelyUnknown.test(name),
    )
    expect(open).toEqual([])
    expect(volatileBuiltins.size).toBeGreaterThan(200)
    expect(steadyBuiltins.size).toBeGreaterThan(2_000)
  })

  test('what is unknown on purpose is unknown', () => {
    for (const name of volatileBuiltins) {
      if (!deliberatelyUnknown.test(name)) continue
      expect(judgeCall([name], {}).kind, name).toBe('unknown')
    }
  })

  test('a built-in name in another schema, quoted otherwise, or three parts deep is not the built-in function', () => {
    for (const parts of [['public', 'now'], ['NOW'], ['db', 'pg_catalog', 'now'], ['pg_catalog', 'evil'], [''], []]) {
      expect(judgeCall(parts, {}).kind, parts.join('.')).toBe('unknown')
    }
    for (const parts of [['now'], ['pg_catalog', 'now']]) expect(judgeCall(parts, {}).kind).toBe('read')
  })

  test('names of Object.prototype are no functions that anybody knows', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
      expect(judgeCall([name], {}).kind).toBe('unknown')
  })
})
