import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { clearLeftovers } from './leftovers.ts'

const root = mkdtempSync(join(tmpdir(), 'sp-leftovers-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

it('takes away the folders of drills whose gate is gone, and nothing else', async () => {
  const kept = ['sallyport-dump-22-b', 'sallyport-scratch-x', 'sallyport-other-11-a', 'sallyport-scratch-11', 'mine']
  for (const name of ['sallyport-dump-11-a', 'sallyport-scratch-11-b', 'sallyport-chain-drill-11-c', ...kept])
    mkdirSync(join(root, name, 'data'), { recursive: true })
  writeFileSync(join(root, 'sallyport-scratch-11-file'), '')
  symlinkSync(join(root, 'mine'), join(root, 'sallyport-scratch-11-link'))
  expect(await clearLeftovers(root, (pid) => pid === 22)).toBe(3)
  expect(readdirSync(root).toSorted()).toEqual([...kept, 'sallyport-scratch-11-file', 'sallyport-scratch-11-link'].toSorted())
  expect(readdirSync(join(root, 'mine'))).toEqual(['data'])
  // This very process is alive.
  mkdirSync(join(root, `sallyport-dump-${process.pid}-z`))
  await clearLeftovers(root)
  expect(readdirSync(root)).toContain(`sallyport-dump-${process.pid}-z`)
})
