import { describe, expect, test } from 'vitest'
import { importedNames, importsOnly } from './imported-names.ts'
import { findNameViolations } from './import-rules.ts'
import { plantedNames } from './planted-violations.ts'

const protocol = 'packages/gateway/src/protocols/postgres/index.ts'
const rules = (file: string, source: string): readonly string[] => findNameViolations(file, source).map(({ rule }) => rule)

test.each(plantedNames)('$rule sees $source', ({ rule, file, source }) => {
  expect(rules(file, source)).toContain(rule)
})

describe('what is allowed stays allowed', () => {
  test('a protocol listens, names types and has timers', () => {
    const source = `import { createServer, type Socket } from 'node:net'\nimport type { TLSSocket } from 'node:tls'\nsetTimeout(() => server.close(), 5)\n`
    expect(rules(protocol, source)).toEqual([])
  })

  test('a name of its own is not the global one', () => {
    expect(
      rules(
        protocol,
        'export const run = (fetch: () => void, process: { env: string }): string => {\n  fetch()\n  return process.env\n}\n',
      ),
    ).toEqual([])
    expect(rules(protocol, 'export const run = (row: { fetch(): void }): void => row.fetch()\n')).toEqual([])
  })

  test('core may hash and read dates that it is given', () => {
    const source = `import { createHash } from 'node:crypto'\nexport const show = (atMs: number): string => new Date(atMs).toISOString() + createHash('sha256').digest('hex')\n`
    expect(rules('packages/core/src/decide.ts', source)).toEqual([])
  })

  test('govern makes clearances, tests may, and spending one is for all', () => {
    const take = `import { makeClearance } from './clearance.ts'\nexport const make = makeClearance\n`
    expect(rules('packages/core/src/govern.ts', take)).toEqual([])
    expect(rules('packages/core/src/clearance.test.ts', take)).toEqual([])
    expect(rules('packages/core/src/index.ts', `export { type Clearance, spendClearance } from './clearance.ts'\n`)).toEqual([])
  })
})

test('every way to name a module is read, with its line', () => {
  const source = [
    '#!/usr/bin/env node',
    `import type { A } from './a.ts'`,
    `import b, { type B } from './b.ts'`,
    `import * as c from './c.ts'`,
    `export * from './d.ts'`,
    `export { e as f } from './e.ts'`,
    `type G = import('./g.ts').G`,
    `await import('./h.ts')`,
    `await import(elsewhere)`,
    `require('./i.ts')`,
    `import './j.ts'`,
  ].join('\n')
  expect(
    importedNames(source).map(({ module, name, typeOnly, line }) => `${line} ${module} ${name}${typeOnly ? ' type' : ''}`),
  ).toEqual([
    '2 ./a.ts A type',
    '3 ./b.ts default',
    '3 ./b.ts B type',
    '4 ./c.ts *',
    '5 ./d.ts *',
    '6 ./e.ts e',
    '7 ./g.ts G type',
    '8 ./h.ts *',
    '9 ? *',
    '10 ./i.ts *',
    '11 ./j.ts *',
  ])
})

test('a source reduced to its imports keeps each, and what is a type stays one', () => {
  expect(importsOnly(`import type { A } from './a.ts'\nusing file = open()\nexport * from './d.ts'\n`)).toBe(
    `import type { Name } from "./a.ts"\nimport "./d.ts"\n`,
  )
})

test('what cannot be parsed is an error, never an empty list', () => {
  expect(() => importedNames('import { from')).toThrow('Expected')
})
