import { digestJson, type Json, type SqlChannel } from '@sallyport/core'
import { z } from 'zod'
import { oidArray, oidSchema } from './catalog-name.ts'
import { readJson } from './catalog-query.ts'
import { tableShapeSql, viewShapeSql } from './catalog-shape-sql.ts'

const nullableText = z.string().nullable()

const grantSchema = z.object({ grantee: nullableText, privilege: z.string(), grantable: z.boolean() })
export type GrantShape = z.infer<typeof grantSchema>

const columnSchema = z.object({
  number: z.number(),
  name: z.string(),
  type: z.string(),
  notNull: z.boolean(),
  default: nullableText,
  /** '' none, 'a' always, 'd' by default. */
  identity: z.enum(['', 'a', 'd']),
  /** '' none, 's' stored, 'v' virtual. */
  generated: z.enum(['', 's', 'v']),
  collation: nullableText,
  storage: nullableText,
  compression: nullableText,
  statistics: z.number().nullable(),
  options: z.array(z.string()).nullable(),
  comment: nullableText,
  /** Whether the type has binary input and output. */
  binary: z.boolean(),
  grants: z.array(grantSchema).nullable(),
})
export type ColumnShape = z.infer<typeof columnSchema>

const constraintSchema = z.object({
  name: z.string(),
  /** p primary key, u unique, c check, x exclusion, f foreign key. */
  type: z.enum(['p', 'u', 'c', 'x', 'f']),
  definition: z.string(),
  columns: z.array(z.string()),
  /** For a foreign key: the referenced table. */
  references: oidSchema.nullable(),
  comment: nullableText,
})
export type ConstraintShape = z.infer<typeof constraintSchema>

const indexSchema = z.object({
  name: z.string(),
  definition: z.string(),
  unique: z.boolean(),
  /** Unique, valid, immediate, over plain columns only, all of them NOT NULL, without a predicate: fit to be a key. */
  key: z.array(z.string()).nullable(),
  backsConstraint: z.boolean(),
  replicaIdentity: z.boolean(),
  clustered: z.boolean(),
  ownTablespace: z.boolean(),
  comment: nullableText,
})

const sequenceSchema = z.object({
  oid: oidSchema,
  schema: z.string(),
  name: z.string(),
  column: z.string(),
  /** 'a' serial, 'i' identity. */
  ownership: z.enum(['a', 'i']),
  type: z.string(),
  start: z.string(),
  increment: z.string(),
  minimum: z.string(),
  maximum: z.string(),
  cache: z.string(),
  cycle: z.boolean(),
  comment: nullableText,
  grants: z.array(grantSchema).nullable(),
})
export type SequenceShape = z.infer<typeof sequenceSchema>

const triggerSchema = z.object({
  name: z.string(),
  definition: z.string(),
  enabled: z.enum(['O', 'D', 'R', 'A']),
  /** pg_trigger.tgtype: 4 INSERT, 8 DELETE, 16 UPDATE, 32 TRUNCATE. */
  events: z.number(),
  functionHash: z.string(),
  comment: nullableText,
})

const ruleSchema = z.object({
  name: z.string(),
  definition: z.string(),
  enabled: z.enum(['O', 'D', 'R', 'A']),
  /** 2 UPDATE, 3 INSERT, 4 DELETE. */
  event: z.string(),
  comment: nullableText,
})

const policySchema = z.object({
  name: z.string(),
  permissive: z.boolean(),
  command: z.enum(['r', 'a', 'w', 'd', '*']),
  /** null stands for PUBLIC. */
  roles: z.array(nullableText),
  using: nullableText,
  check: nullableText,
  comment: nullableText,
})
export type PolicyShape = z.infer<typeof policySchema>

export const tableShapeSchema = z.object({
  oid: oidSchema,
  schema: z.string(),
  name: z.string(),
  /** Quoted only where it must be: for people to read. */
  label: z.string(),
  kind: z.string(),
  persistence: z.enum(['p', 'u', 't']),
  owner: z.string(),
  partition: z.boolean(),
  inheritance: z.boolean(),
  typed: z.boolean(),
  accessMethod: nullableText,
  ownTablespace: z.boolean(),
  extension: z.boolean(),
  securityLabel: z.boolean(),
  options: z.array(z.string()),
  toastOptions: z.array(z.string()),
  replicaIdentity: z.enum(['d', 'n', 'f', 'i']),
  rowSecurity: z.boolean(),
  forceRowSecurity: z.boolean(),
  comment: nullableText,
  rowsEstimate: z.number(),
  bytes: z.number(),
  version: z.string(),
  columns: z.array(columnSchema),
  constraints: z.array(constraintSchema),
  indexes: z.array(indexSchema),
  sequences: z.array(sequenceSchema),
  triggers: z.array(triggerSchema),
  rules: z.array(ruleSchema),
  policies: z.array(policySchema),
  statistics: z.array(z.object({ name: z.string(), schema: z.string(), definition: z.string() })),
  publications: z.array(z.object({ name: z.string(), plain: z.boolean() })),
  grants: z.array(grantSchema).nullable(),
  incoming: z.array(z.object({ table: z.string(), name: z.string(), definition: z.string() })),
})
export type TableShape = z.infer<typeof tableShapeSchema>

export const viewShapeSchema = z.object({
  oid: oidSchema,
  schema: z.string(),
  name: z.string(),
  label: z.string(),
  definition: z.string(),
  owner: z.string(),
  options: z.array(z.string()),
  comment: nullableText,
  columns: z.array(z.object({ name: z.string(), comment: nullableText })),
  /** Triggers, further rules, column defaults, column grants: what we would not bring back. */
  extras: z.boolean(),
  reads: z.array(oidSchema),
  grants: z.array(grantSchema).nullable(),
})
export type ViewShape = z.infer<typeof viewShapeSchema>

/** Shapes of relations, in oid order. On a channel whose search_path is pg_catalog. Missing oids are missing from the answer. */
export async function readTableShapes(channel: SqlChannel, oids: readonly string[]): Promise<readonly TableShape[]> {
  if (oids.length === 0) return []
  return readJson(channel, z.array(tableShapeSchema), tableShapeSql, [oidArray(oids)])
}

export async function readViewShapes(channel: SqlChannel, oids: readonly string[]): Promise<readonly ViewShape[]> {
  if (oids.length === 0) return []
  return readJson(channel, z.array(viewShapeSchema), viewShapeSql, [oidArray(oids)])
}

/**
 * What an approval binds to (DESIGN §6): what the table is, and what would happen to it. Not its comments, grants, statistics, plain
 * indexes or sizes, which change without changing what is lost.
 */
export function hashShape(shape: TableShape): string {
  const facts: Json = {
    v: 1,
    oid: shape.oid,
    schema: shape.schema,
    name: shape.name,
    kind: shape.kind,
    persistence: shape.persistence,
    owner: shape.owner,
    partition: shape.partition,
    inheritance: shape.inheritance,
    rowSecurity: [shape.rowSecurity, shape.forceRowSecurity],
    columns: shape.columns.map(({ number, name, type, notNull, default: value, identity, generated, collation }) => ({
      number,
      name,
      type,
      notNull,
      default: value,
      identity,
      generated,
      collation,
    })),
    constraints: shape.constraints.map(({ name, definition }) => [name, definition]),
    uniqueIndexes: shape.indexes.filter(({ unique }) => unique).map(({ name, definition }) => [name, definition]),
    triggers: shape.triggers.map(({ name, definition, enabled, functionHash }) => [name, definition, enabled, functionHash]),
    rules: shape.rules.map(({ name, definition, enabled }) => [name, definition, enabled]),
    policies: shape.policies.map(({ name, permissive, command, roles, using, check }) => [
      name,
      permissive,
      command,
      roles,
      using,
      check,
    ]),
    incoming: shape.incoming.map(({ table, name, definition }) => [table, name, definition]),
  }
  return digestJson(facts)
}

/** Columns that COPY can carry: a generated column is computed again from the others. */
export function copiedColumns(shape: TableShape): readonly string[] {
  return shape.columns.filter(({ generated }) => generated === '').map(({ name }) => name)
}

/** Columns that tell two rows apart for good: the primary key, else the first unique index over plain NOT NULL columns. */
export function keyColumns(shape: TableShape): readonly string[] | null {
  const primary = shape.constraints.find(({ type }) => type === 'p')
  if (primary) return primary.columns
  return shape.indexes.find(({ key }) => key !== null)?.key ?? null
}
