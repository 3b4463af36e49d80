import { readdirSync, existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Json } from '@sallyport/core'
import { connectors, findByUrl, findConnector, makeDescribers } from './index.ts'

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

  test('an HTTP request is read by the connector of its host, and by none for any other host', async () => {
    expect(findByUrl('https://backboard.railway.app/graphql/v2')?.id).toBe('railway')
    for (const url of [
      'https://railway.app/',
      'https://backboard.railway.com.example.net/',
      'https://backboard.railway.com@example.net/',
      'x',
    ])
      expect(findByUrl(url), url).toBeUndefined()
    const body = '{"query":"{ me { id } }"}'
    const about = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
    const describe = async (decoded: Json): Promise<unknown> =>
      (await makeDescribers().describe('http', decoded)).map(({ action, impact }) => [action, impact.kind])
    expect(await describe({ ...about, url: 'https://backboard.railway.com/graphql/v2' })).toEqual([['railway.me', 'read']])
    expect(await describe({ ...about, url: 'https://api.example.com/graphql/v2' })).toEqual([['http.unreadable', 'unknown']])
    for (const decoded of [null, [], 'x', {}, { url: 1 }])
      expect(await describe(decoded)).toEqual([['http.unreadable', 'unknown']])
  })

  test('describers that ask in circles come to an end', async () => {
    const [operation] = await makeDescribers(8).describe('postgres', { sql: 'SELECT 1' })
    expect(operation?.impact.kind).toBe('unknown')
  })
})
