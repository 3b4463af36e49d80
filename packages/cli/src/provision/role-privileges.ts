import type { DatabaseContent, Relation } from './database-content.ts'
import type { RoleKind } from './role-scope.ts'
import { identifier, qualified } from './sql-line.ts'

/** What a least role gets, as SQL, and what this administrator cannot hand out. */
export interface RolePrivileges {
  readonly statements: readonly string[]
  /** Relations that the role may read, and those it may write. */
  readonly readable: readonly Relation[]
  readonly writable: readonly Relation[]
  readonly sequences: readonly Relation[]
  /** A sentence each: what is missing, and who could mend it. */
  readonly missing: readonly string[]
  /** A sentence each: what was left out on purpose. */
  readonly withheld: readonly string[]
}

/** Names in one statement. */
const namesMax = 200
/** Names in one sentence. */
const shownMax = 5

export function planPrivileges(
  kind: Exclude<RoleKind, 'owner'>,
  role: string,
  database: string,
  content: DatabaseContent,
): RolePrivileges {
  const to = identifier(role)
  const schemas = content.schemas.filter(({ grantable }) => grantable)
  const usable = content.schemas.filter(({ grantable, for_everyone }) => grantable || for_everyone)
  const reachable = new Set(usable.map(({ name }) => name))
  // A foreign table is somebody else's server, entered with somebody else's credential.
  const foreign = content.relations.filter((relation) => relation.kind === 'f')
  const secret = content.relations.filter((relation) => relation.secret)
  const open = content.relations.filter((relation) => relation.kind !== 'f' && !relation.secret && reachable.has(relation.schema))
  const readable = open.filter((relation) => relation.read_grantable)
  const isWriter = kind === 'writer'
  const writable = isWriter
    ? open.filter(
        ({ kind: relationKind, write_grantable, of_extension }) => write_grantable && !of_extension && relationKind !== 'm',
      )
    : []
  const tables = (relations: readonly Relation[]): readonly Relation[] => relations.filter((relation) => relation.kind !== 'S')
  const sequences = (relations: readonly Relation[]): readonly Relation[] => relations.filter((relation) => relation.kind === 'S')
  return {
    statements: [
      `GRANT CONNECT ON DATABASE ${identifier(database)} TO ${to}`,
      ...schemas.map(({ name }) => `GRANT USAGE ON SCHEMA ${identifier(name)} TO ${to}`),
      ...grants('SELECT ON TABLE', tables(readable), to),
      ...grants('SELECT ON SEQUENCE', sequences(readable), to),
      ...grants('INSERT, UPDATE, DELETE ON TABLE', tables(writable), to),
      ...grants('USAGE ON SEQUENCE', sequences(writable), to),
      ...later(isWriter, content, reachable, to),
    ],
    readable: tables(readable),
    writable: tables(writable),
    sequences: sequences(open),
    missing: describeMissing(kind, content, reachable, open),
    withheld: [
      ...say(foreign, (names) => `Foreign tables: ${names}. Reading one acts on another server.`),
      ...say(secret, (names) => `What shows passwords or credentials: ${names}.`),
    ],
  }
}

function grants(what: string, relations: readonly Relation[], to: string): readonly string[] {
  const statements: string[] = []
  for (let at = 0; at < relations.length; at += namesMax) {
    const names = relations.slice(at, at + namesMax).map(({ schema, name }) => qualified(schema, name))
    statements.push(`GRANT ${what} ${names.join(', ')} TO ${to}`)
  }
  return statements
}

/** For what the owners make later. */
function later(isWriter: boolean, { makers }: DatabaseContent, reachable: ReadonlySet<string>, to: string): readonly string[] {
  return makers
    .filter(({ actable, schema }) => actable && reachable.has(schema))
    .flatMap(({ owner, schema }) => {
      const head = `ALTER DEFAULT PRIVILEGES FOR ROLE ${identifier(owner)} IN SCHEMA ${identifier(schema)} GRANT`
      const write = isWriter ? ', INSERT, UPDATE, DELETE' : ''
      return [`${head} SELECT${write} ON TABLES TO ${to}`, `${head} SELECT${isWriter ? ', USAGE' : ''} ON SEQUENCES TO ${to}`]
    })
}

function describeMissing(
  kind: RoleKind,
  { schemas, makers }: DatabaseContent,
  reachable: ReadonlySet<string>,
  open: readonly Relation[],
): readonly string[] {
  const closed = schemas.filter(({ name }) => !reachable.has(name)).map(({ name, owner }) => `${name} (owner ${owner})`)
  const unread = open.filter((relation) => !relation.read_grantable)
  const unwritten = kind === 'writer' ? open.filter(({ read_grantable: read, write_grantable: write }) => read && !write) : []
  const silent = [...new Set(makers.filter(({ actable }) => !actable).map(({ owner }) => owner))]
  const mend = 'Have the owner run this, or give the URL of a member of the owner.'
  return [
    ...(closed.length === 0 ? [] : [`Schemas that this administrator cannot open to anyone: ${shown(closed)}. ${mend}`]),
    ...say(unread, (names) => `Not readable, since this administrator may not hand that out: ${names}. ${mend}`),
    ...say(unwritten, (names) => `Readable but not writable, since this administrator may not hand that out: ${names}. ${mend}`),
    ...(silent.length === 0
      ? []
      : [`What ${shown(silent)} makes later stays closed until this is run again by somebody who may act for that owner.`]),
  ]
}

function say(relations: readonly Relation[], sentence: (names: string) => string): readonly string[] {
  return relations.length === 0 ? [] : [sentence(shown(relations.map(({ schema, name }) => `${schema}.${name}`)))]
}

export function shown(names: readonly string[]): string {
  const more = names.length - shownMax
  return `${names.slice(0, shownMax).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
