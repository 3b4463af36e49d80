import { readdirSync, existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { connectors, findConnector, makeDescribers } from './index.ts'

const root = fileURLToPath(new URL('.', import.meta.url))

describe('the registry of connectors', () => {
  test('equals the folders', () => {
    const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(connectors.map(({ id }) => id).sort()).toEqual(folders.map(({ name }) => name).sort())
  })

  test('every folder has a manifest, a describer, cases and a page to read', () => {
    for (const { id } of connectors) {
      for (const name of ['index.ts', 'describe.ts', 'cases', 'README.md'])
        expect(existsSync(`${root}${id}/${name}`), `${id}/${name}`).toBe(true)
    }
  })

  test('a language nobody registered is unknown, not an error', async () => {
    const [operation] = await makeDescribers().describe('cobol', { program: 'x' })
    expect(operation?.impact).toEqual({ kind: 'unknown', reversible: false })
    expect(findConnector('cobol')).toBeUndefined()
  })

  test('describers that ask in circles come to an end', async () => {
    const [operation] = await makeDescribers(8).describe('postgres', { sql: 'SELECT 1' })
    expect(operation?.impact.kind).toBe('unknown')
  })
})
