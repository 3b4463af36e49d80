/** Reading what tools print: each step says what it expects and gives an empty answer for anything else. */
export type JsonRecord = Readonly<Record<string, unknown>>

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function parseRecord(text: string): JsonRecord {
  const value: unknown = JSON.parse(text)
  if (!isRecord(value)) throw new TypeError('expected a JSON object')
  return value
}

export function recordsOf(value: unknown): readonly JsonRecord[] {
  return listOf(value).filter(isRecord)
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

export function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
