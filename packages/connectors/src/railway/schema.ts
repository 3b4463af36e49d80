import { freeScalarTable, inputTable, outputTable } from './schema-table.ts'

/** The type of an argument or of a field of an input object. */
export interface InputType {
  /** Name without brackets. */
  readonly name: string
  readonly isList: boolean
}

export type InputFields = ReadonlyMap<string, InputType>

export interface OutputField {
  readonly given: InputFields
  /** Absent for a field without fields of its own. */
  readonly type?: string
}

export type OutputFields = ReadonlyMap<string, OutputField>

export type RootType = 'Query' | 'Mutation' | 'Subscription'

const noInputs: InputFields = new Map()

/** What GraphQL itself adds to every schema (introspection, section 4 of its specification). */
const introspection = `
__Schema description types:__Type queryType:__Type mutationType:__Type subscriptionType:__Type directives:__Directive
__Type kind name description specifiedByURL fields(includeDeprecated:Boolean):__Field interfaces:__Type possibleTypes:__Type
 enumValues(includeDeprecated:Boolean):__EnumValue inputFields(includeDeprecated:Boolean):__InputValue ofType:__Type isOneOf
__Field name description args(includeDeprecated:Boolean):__InputValue type:__Type isDeprecated deprecationReason
__InputValue name description type:__Type defaultValue isDeprecated deprecationReason
__EnumValue name description isDeprecated deprecationReason
__Directive name description isRepeatable locations args(includeDeprecated:Boolean):__InputValue
`

function readTable<Entry>(text: string, readEntry: (word: string) => readonly [string, Entry]): Map<string, Map<string, Entry>> {
  const types = new Map<string, Map<string, Entry>>()
  for (const line of text.replaceAll('\n ', ' ').split('\n')) {
    const [name = '', ...words] = line.split(' ')
    if (name !== '') types.set(name, new Map(words.map(readEntry)))
  }
  return types
}

function readInput(word: string): readonly [string, InputType] {
  const [name = '', type = ''] = word.split(':')
  return [name, { name: type.replaceAll(/[[\]]/g, ''), isList: type.startsWith('[') }]
}

function readField(word: string): readonly [string, OutputField] {
  const [, name = '', given, type] = /^([^(:]+)(?:\(([^)]*)\))?(?::(.+))?$/.exec(word) ?? []
  return [
    name,
    { given: given === undefined ? noInputs : new Map(given.split(',').map(readInput)), ...(type === undefined ? {} : { type }) },
  ]
}

const outputs = readTable(outputTable + introspection, readField)
const inputs = readTable(inputTable, readInput)
const freeScalars: ReadonlySet<string> = new Set(freeScalarTable.trim().split(/\s+/))

outputs
  .get('Query')
  ?.set('__schema', { given: noInputs, type: '__Schema' })
  .set('__type', { given: new Map([['name', { name: 'String', isList: false }]]), type: '__Type' })

export function findOutput(type: string): OutputFields | undefined {
  return outputs.get(type)
}

export function findInput(type: string): InputFields | undefined {
  return inputs.get(type)
}

/** Whether a value of this type is JSON of a shape that the schema does not say. */
export function isFreeScalar(type: string): boolean {
  return freeScalars.has(type)
}

/** The fields of a root type as the API's schema lists them, without what GraphQL adds. */
export function rootFields(type: RootType): readonly string[] {
  return [...(outputs.get(type)?.keys() ?? [])].filter((name) => !name.startsWith('__'))
}

/** Every type with fields, for the specs. */
export function outputTypes(): readonly string[] {
  return [...outputs.keys()]
}
