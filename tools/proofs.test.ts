import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { describeProof, figureOf, findProofs, runProof } from './proofs.ts'
import { listFiles, projectRoot } from './source-tree.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-proofs-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('every prove:… of a manifest is found, in its order, and nothing else', () => {
  const scripts = { test: 'x', 'prove:b': 'x', 'prove:a': 'x', prove: 'x', 'im-prove:c': 'x' }
  expect(findProofs(JSON.stringify({ scripts }))).toEqual(['prove:b', 'prove:a'])
  expect(findProofs('{}')).toEqual([])
})

test('the figure is the last line that says it is one', () => {
  expect(figureOf('x\nfigure: 3 of 4\nfigure: 4 of 4\ny\n')).toBe('4 of 4')
  expect(figureOf('no figure: none\n')).toBeNull()
})

test('a proof holds when it ends well and says its figure; one that says nothing has shown nothing', async () => {
  const scripts = {
    'prove:good': 'echo figure: 0 lost',
    'prove:bad': 'echo figure: 1 lost && exit 3',
    'prove:silent': 'echo all is well',
  }
  writeFileSync(join(root, 'package.json'), JSON.stringify({ scripts }))
  const good = await runProof(root, 'prove:good')
  expect(good).toMatchObject({ held: true, figure: '0 lost' })
  expect(describeProof(good)).toMatch(/^ok {3}good +\d+ s {2}0 lost$/)
  const bad = await runProof(root, 'prove:bad')
  expect(bad).toMatchObject({ held: false, figure: '1 lost' })
  expect(describeProof(bad)).toMatch(/^FAIL bad/)
  const silent = await runProof(root, 'prove:silent')
  expect(silent).toMatchObject({ held: false, figure: 'it said no figure, and ended with 0' })
  expect(describeProof(silent)).toContain('all is well')
})

test('each proof of this tree says a figure, and each run.ts that is one has its command', () => {
  const manifest = readFileSync(join(projectRoot, 'package.json'), 'utf8')
  const proofs = findProofs(manifest)
  expect(proofs.length).toBeGreaterThanOrEqual(8)
  const programs = listFiles(projectRoot).filter((file) => /^tests\/(?!pictures)[a-z]+\/run\.ts$/.test(file))
  for (const file of [...programs, 'tools/prove-tests.ts'])
    expect(readFileSync(join(projectRoot, file), 'utf8'), file).toContain('figure: ')
  for (const file of programs) expect(manifest).toContain(file)
})
