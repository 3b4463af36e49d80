import type { Json } from '@sallyport/core'
import { type Limits, UnreadableDocument } from './document.ts'
import { isList, isObject } from './given-value.ts'
import { findInput, isFreeScalar, type InputType } from './schema.ts'

/** Why a value does not fit the type the schema gives it, or null. The API would refuse it, or knows more than we do. */
export function refuseInput(value: Json, type: InputType, limits: Limits): string | null {
  takeOne(limits)
  if (value === null) return null
  if (type.isList && isList(value)) {
    for (const item of value) {
      const why = refuseInput(item, { name: type.name, isList: false }, limits)
      if (why !== null) return why
    }
    return null
  }
  if (isFreeScalar(type.name)) {
    countValues(value, limits)
    return null
  }
  const fields = findInput(type.name)
  if (fields === undefined)
    return isObject(value) || isList(value) ? 'an argument has another shape than the schema gives it' : null
  if (!isObject(value)) return 'an argument has another shape than the schema gives it'
  for (const [name, inner] of Object.entries(value)) {
    const field = fields.get(name)
    if (field === undefined) return `the schema known here has no field of that name in ${type.name}`
    const why = refuseInput(inner, field, limits)
    if (why !== null) return why
  }
  return null
}

function takeOne(limits: Limits): void {
  limits.valuesLeft -= 1
  if (limits.valuesLeft < 0) throw new UnreadableDocument('its arguments hold too many values')
}

function countValues(value: Json, limits: Limits): void {
  const open: Json[] = [value]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    takeOne(limits)
    if (isList(next)) open.push(...next)
    else if (isObject(next)) open.push(...Object.values(next))
  }
}
