/**
 * Writes packages/connectors/src/postgres/functions-catalog.ts from the catalogs of real servers:
 *
 *   node tools/generate-postgres-functions.ts CONNECTION_STRING [CONNECTION_STRING …]
 *
 * Give one server of each major version that must be known. A name is steady only when every overload on every server is immutable or
 * stable; everything else a server calls built in is volatile and must be judged by hand in functions-volatile.ts.
 */
import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { z } from 'zod'

/** Extensions whose steady functions compute from their arguments and run no SQL text. tablefunc and xml2 run SQL given as text: not here. */
const plainExtensions = [
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'earthdistance',
  'fuzzystrmatch',
  'hstore',
  'intarray',
  'isn',
  'ltree',
  'pg_trgm',
  'pgcrypto',
  'seg',
  'unaccent',
  'uuid-ossp',
]
const outputFile = new URL('../packages/connectors/src/postgres/functions-catalog.ts', import.meta.url)
const namesRow = z.object({ name: z.string(), volatile: z.boolean() })
const wordRow = z.object({ word: z.string() })
const lineWidth = 120

interface Catalog {
  readonly builtin: Map<string, boolean>
  readonly extension: Map<string, boolean>
  readonly keywords: Set<string>
}

async function readServer(url: string, catalog: Catalog): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('BEGIN')
    const version = z.object({ v: z.string() }).parse(
      (await client.query('SHOW server_version')).rows.map((row: unknown) => ({
        v: z.record(z.string(), z.string()).parse(row)['server_version'],
      }))[0],
    )
    const builtin = await client.query(
      `SELECT proname AS name, bool_or(provolatile = 'v') AS volatile FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY 1`,
    )
    add(catalog.builtin, builtin.rows)
    const keywords = await client.query(`SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'`)
    for (const row of keywords.rows) catalog.keywords.add(wordRow.parse(row).word)
    for (const extension of plainExtensions) await client.query(`CREATE EXTENSION "${extension}" CASCADE`)
    const extended = await client.query(
      `SELECT p.proname AS name, bool_or(p.provolatile = 'v') AS volatile FROM pg_proc p
       JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
       JOIN pg_extension x ON x.oid = d.refobjid WHERE x.extname = ANY($1) GROUP BY 1`,
      [plainExtensions],
    )
    add(catalog.extension, extended.rows)
    return version.v
  } finally {
    await client.query('ROLLBACK')
    await client.end()
  }
}

function add(into: Map<string, boolean>, rows: readonly unknown[]): void {
  for (const row of rows) {
    const { name, volatile } = namesRow.parse(row)
    into.set(name, (into.get(name) ?? false) || volatile)
  }
}

function wrap(names: readonly string[]): string {
  const lines: string[] = []
  let line = ''
  for (const name of [...names].sort()) {
    if (line.length + name.length + 1 > lineWidth) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? name : `${line} ${name}`
  }
  return [...lines, line].join('\n')
}

function pick(names: ReadonlyMap<string, boolean>, volatile: boolean): string[] {
  return [...names].filter(([, isVolatile]) => isVolatile === volatile).map(([name]) => name)
}

async function main(urls: readonly string[]): Promise<void> {
  if (urls.length === 0) throw new Error('give at least one connection string')
  const catalog: Catalog = { builtin: new Map(), extension: new Map(), keywords: new Set() }
  const versions: string[] = []
  for (const url of urls) versions.push(await readServer(url, catalog))
  for (const name of catalog.builtin.keys()) catalog.extension.delete(name)
  writeFileSync(
    outputFile,
    `/** Written by tools/generate-postgres-functions.ts from servers ${versions.map((version) => version.split(' ')[0]).join(', ')}. Do not edit. */

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\\s+/).filter((word) => word !== ''))
}

/** Functions of pg_catalog whose every overload is immutable or stable. */
export const steadyBuiltins = words(\`
${wrap(pick(catalog.builtin, false))}
\`)

/** Functions of pg_catalog with a volatile overload: each is judged by hand. */
export const volatileBuiltins = words(\`
${wrap(pick(catalog.builtin, true))}
\`)

/** Steady functions of: ${plainExtensions.join(', ')}. */
export const steadyExtensionFunctions = words(\`
${wrap(pick(catalog.extension, false))}
\`)

/** Keywords that must be quoted to be names. */
export const quotedKeywords = words(\`
${wrap([...catalog.keywords])}
\`)
`,
  )
}

await main(process.argv.slice(2))
