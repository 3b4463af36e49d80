/**
 * Writes packages/connectors/src/railway/schema-table.ts from the API's published schema (GraphQL definition language) and a list of its
 * mutations (JSON lines with a field `mutation`), which must agree:
 *
 *   node tools/generate-railway.ts SCHEMA.graphql MUTATIONS.jsonl
 *
 * Facts only: which fields there are, of which type, with which arguments. What a field would do is judged by hand in impact-*.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import {
  Kind,
  parse,
  type DefinitionNode,
  type FieldDefinitionNode,
  type InputValueDefinitionNode,
  type TypeNode,
} from 'graphql/language'
import { z } from 'zod'

const outputFile = new URL('../packages/connectors/src/railway/schema-table.ts', import.meta.url)
const lineWidth = 120
/** Scalars that hold one word or number. Any other carries whatever JSON its reader understands. */
const plainScalars = new Set(['DateTime', 'BigInt'])
const rootNames = ['Query', 'Mutation', 'Subscription'] as const

interface Schema {
  readonly outputs: Map<string, readonly FieldDefinitionNode[]>
  readonly inputs: Map<string, readonly InputValueDefinitionNode[]>
  readonly freeScalars: string[]
}

function readSchema(text: string): Schema {
  const schema: Schema = { outputs: new Map(), inputs: new Map(), freeScalars: [] }
  for (const definition of parse(text, { noLocation: true }).definitions) addDefinition(schema, definition)
  return schema
}

function addDefinition(schema: Schema, definition: DefinitionNode): void {
  if (definition.kind === Kind.OBJECT_TYPE_DEFINITION || definition.kind === Kind.INTERFACE_TYPE_DEFINITION) {
    schema.outputs.set(definition.name.value, definition.fields ?? [])
  } else if (definition.kind === Kind.UNION_TYPE_DEFINITION) {
    schema.outputs.set(definition.name.value, [])
  } else if (definition.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION) {
    schema.inputs.set(definition.name.value, definition.fields ?? [])
  } else if (definition.kind === Kind.SCALAR_TYPE_DEFINITION) {
    if (!plainScalars.has(definition.name.value)) schema.freeScalars.push(definition.name.value)
  } else if (definition.kind !== Kind.ENUM_TYPE_DEFINITION && definition.kind !== Kind.DIRECTIVE_DEFINITION) {
    throw new Error(`a ${definition.kind} is not expected in a published schema: say here what becomes of it`)
  }
}

/** `[T]` for a list, `T` for the rest; whether it may be null changes nothing for a reader. */
function writeType(type: TypeNode): string {
  if (type.kind === Kind.NON_NULL_TYPE) return writeType(type.type)
  return type.kind === Kind.LIST_TYPE ? `[${writeType(type.type)}]` : type.name.value
}

function innermost(type: TypeNode): string {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : innermost(type.type)
}

function writeInput(input: InputValueDefinitionNode): string {
  return `${input.name.value}:${writeType(input.type)}`
}

function writeField(field: FieldDefinitionNode, schema: Schema): string {
  const given = (field.arguments ?? []).map(writeInput)
  const type = innermost(field.type)
  return `${field.name.value}${given.length > 0 ? `(${given.join(',')})` : ''}${schema.outputs.has(type) ? `:${type}` : ''}`
}

/** A line begins with a type's name; lines that go on begin with a blank. */
function wrap(head: string, words: readonly string[]): string {
  const lines: string[] = []
  let line = head
  for (const word of words) {
    if (line.length + word.length + 1 > lineWidth) {
      lines.push(line)
      line = ''
    }
    line = `${line} ${word}`
  }
  return [...lines, line].join('\n')
}

function writeTable<Entry>(entries: ReadonlyMap<string, readonly Entry[]>, writeEntry: (entry: Entry) => string): string {
  return [...entries]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, fields]) => wrap(name, fields.map(writeEntry)))
    .join('\n')
}

function checkMutations(schema: Schema, lines: string): void {
  const shape = z.object({ mutation: z.string() })
  const listed = lines
    .trim()
    .split('\n')
    .map((line) => shape.parse(JSON.parse(line)).mutation)
  const defined = new Set((schema.outputs.get('Mutation') ?? []).map((field) => field.name.value))
  const strays = [...listed.filter((name) => !defined.has(name)), ...[...defined].filter((name) => !listed.includes(name))]
  if (strays.length > 0) throw new Error(`schema and list of mutations do not agree on: ${strays.join(', ')}`)
}

function main(schemaFile: string | undefined, mutationsFile: string | undefined): void {
  if (schemaFile === undefined || mutationsFile === undefined) throw new Error('give the schema and the list of mutations')
  const schema = readSchema(readFileSync(schemaFile, 'utf8'))
  checkMutations(schema, readFileSync(mutationsFile, 'utf8'))
  const counts = rootNames.map((name) => `${name}: ${schema.outputs.get(name)?.length ?? 0}`).join(', ')
  writeFileSync(
    outputFile,
    `/** Written by tools/generate-railway.ts from the API's published schema. Do not edit. */

/** How many fields the schema gives its root types. */
export const rootFieldCounts = { ${counts} } as const

/** Each type and its fields, with arguments and, where a field has fields of its own, their type. */
export const outputTable = \`
${writeTable(schema.outputs, (field) => writeField(field, schema))}
\`

/** Each input type and its fields. */
export const inputTable = \`
${writeTable(schema.inputs, writeInput)}
\`

/** Scalars that carry JSON of a shape the schema does not say. */
export const freeScalarTable = \`
${wrap('', schema.freeScalars.sort()).trimStart()}
\`
`,
  )
}

main(process.argv[2], process.argv[3])
