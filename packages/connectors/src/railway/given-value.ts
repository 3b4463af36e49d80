import { Kind, type OperationDefinitionNode, type ValueNode } from 'graphql/language'
import type { Json } from '@sallyport/core'
import { UnreadableDocument } from './document.ts'
import { readNumber } from './json-text.ts'

/** Variables as the operation will see them: what was sent, or else its default. Those with neither are declared and absent. */
export interface Variables {
  readonly declared: ReadonlySet<string>
  readonly values: ReadonlyMap<string, Json>
}

export type JsonObject = { readonly [key: string]: Json }

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !isList(value)
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

/** A field of an object as JSON has it: what every object inherits is no field. */
export function fieldOf(value: Json | undefined, name: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

/** @throws UnreadableDocument */
export function readVariables(operation: OperationDefinitionNode, sent: JsonObject): Variables {
  const declared = new Set<string>()
  const values = new Map<string, Json>()
  for (const definition of operation.variableDefinitions ?? []) {
    const name = definition.variable.name.value
    if (declared.has(name)) throw new UnreadableDocument('it declares a variable twice')
    if ((definition.directives ?? []).length > 0) throw new UnreadableDocument('it has a directive on a variable')
    declared.add(name)
    const given = fieldOf(sent, name) ?? (Object.hasOwn(sent, name) ? null : readDefault(definition.defaultValue))
    if (given !== undefined) values.set(name, given)
  }
  return { declared, values }
}

function readDefault(node: ValueNode | undefined): Json | undefined {
  return node === undefined ? undefined : readValue(node, { declared: new Set(), values: new Map() })
}

/** The value of an argument; undefined when it is a variable that was not given. @throws UnreadableDocument */
export function readValue(node: ValueNode, variables: Variables): Json | undefined {
  switch (node.kind) {
    case Kind.VARIABLE:
      if (!variables.declared.has(node.name.value)) throw new UnreadableDocument('it uses a variable that it does not declare')
      return variables.values.get(node.name.value)
    case Kind.INT:
    case Kind.FLOAT:
      return readExact(node.value)
    case Kind.STRING:
      if (!node.value.isWellFormed()) throw new UnreadableDocument('it holds a lone surrogate')
      return node.value
    case Kind.ENUM:
    case Kind.BOOLEAN:
      return node.value
    case Kind.NULL:
      return null
    case Kind.LIST:
      return node.values.map((item) => readValue(item, variables) ?? null)
    case Kind.OBJECT:
      return readObject(node.fields.map((field) => ({ name: field.name.value, value: readValue(field.value, variables) })))
  }
}

function readExact(digits: string): number {
  try {
    return readNumber(digits)
  } catch {
    throw new UnreadableDocument('it holds a number that JSON does not hold exactly')
  }
}

function readObject(fields: readonly { readonly name: string; readonly value: Json | undefined }[]): JsonObject {
  const read: Record<string, Json> = { __proto__: null }
  const seen = new Set<string>()
  for (const { name, value } of fields) {
    if (seen.has(name) || name === '__proto__') throw new UnreadableDocument('it gives a field of an object twice')
    seen.add(name)
    if (value !== undefined) read[name] = value
  }
  return read
}
