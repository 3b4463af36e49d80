import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findFolderGaps } from './folders.ts'

let root = ''
const write = (file: string, text: string): void => {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}
const gaps = async (): Promise<readonly string[]> => (await findFolderGaps(root)).findings

const connectors = 'packages/connectors/src'
const protocols = 'packages/gateway/src/protocols'
const producers = 'packages/gateway/src/producers'

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sallyport-folders-'))
  write('package.json', '{ "type": "module" }')
  write(`${connectors}/index.ts`, `export { north } from './north/index.ts'\n`)
  write(`${connectors}/north/index.ts`, `export const north = { id: 'north', protocol: 'http', describe: async () => [] }\n`)
  for (const file of ['describe.ts', 'README.md', 'cases/one.json']) write(`${connectors}/north/${file}`, 'x')
  write('packages/gateway/src/main.ts', `import { wire } from './protocols/wire/index.ts'\nexport const all = [wire]\n`)
  write(`${protocols}/wire/index.ts`, `export const wire = { id: 'wire', listen: async () => undefined }\n`)
  write(`${protocols}/wire/README.md`, 'x')
  write(`${producers}/index.ts`, `export { files } from './files/index.ts'\n`)
  write(`${producers}/files/index.ts`, `export const files = { id: 'files', open: () => undefined }\n`)
  write(`${producers}/files/README.md`, 'x')
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

test('folders that are whole pass', async () => {
  expect(await gaps()).toEqual([])
})

test('a file that is missing or empty', async () => {
  rmSync(join(root, connectors, 'north/describe.ts'))
  rmSync(join(root, connectors, 'north/cases/one.json'))
  write(`${protocols}/wire/README.md`, '')
  expect(await gaps()).toEqual([
    `${connectors}/north has no describe.ts`,
    `${connectors}/north has no cases`,
    `${protocols}/wire has no README.md`,
  ])
})

test('a folder that the registry forgot, and one that is gone', async () => {
  write('packages/gateway/src/main.ts', `import { wire } from './protocols/old/index.ts'\nexport const all = [wire]\n`)
  expect(await gaps()).toEqual([
    'packages/gateway/src/main.ts does not import the protocol wire',
    'packages/gateway/src/main.ts imports the protocol old, which has no folder',
  ])
})

test('a type import does not register anything', async () => {
  write(`${connectors}/index.ts`, `import type { north } from './north/index.ts'\nexport type North = typeof north\n`)
  expect(await gaps()).toEqual([`${connectors}/index.ts does not import the connector north`])
})

test('a folder that does not meet its contract, by name or by shape, or cannot be loaded', async () => {
  write(`${connectors}/north/index.ts`, `export const north = { id: 'south', protocol: 'http', describe: async () => [] }\n`)
  write(`${protocols}/wire/index.ts`, `throw new Error('broken at load')\n`)
  const found = await gaps()
  expect(found[0]).toContain('exports no connector with id "north"')
  expect(found[1]).toContain('could not be loaded: broken at load')
})

test('nothing at all is not fine', async () => {
  rmSync(join(root, connectors, 'north'), { recursive: true })
  expect(await gaps()).toContain(`${connectors} holds no connector`)
})
