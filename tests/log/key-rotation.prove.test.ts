import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { noteSigner, openCheckpoint, parseVerifierKey, signCheckpoint, signRotation } from '@sallyport/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCommandLine, type CommandLineEnd } from '../fakes/command-line.ts'
import { startGate, type TestGate } from '../servers/gate.ts'

/** A key of the log is replaced on a real gate with its real vault; what was pinned before still verifies, and a thief of the old key is found. */
let gate: TestGate
let from = ''
let to = ''
let witnessKey = ''
let oldSeed = ''
const log = (file: string): string => join(gate.directory, 'log', file)
const run = (...words: string[]): Promise<CommandLineEnd> => runCommandLine(words, { folder: gate.directory })
const verify = (...flags: string[]): Promise<CommandLineEnd> => run('log', 'verify', gate.directory, ...flags)

beforeAll(async () => {
  gate = await startGate({ postgres: null, agents: { coder: { owner: 'ada', may: [] } } })
  oldSeed = readFileSync(join(gate.directory, 'log.key'), 'utf8').trim()
  await run('log', 'bundle', gate.directory, '--entry', '0', '--out', join(gate.directory, 'before.html'))
  const made = await run('log', 'rotate-key', '--state', gate.directory, '--json')
  ;({ from, to } = JSON.parse(made.output))
  await gate.crash()
  await gate.start()
  await gate.halt()
  witnessKey = readFileSync(log('keys'), 'utf8').split('\n')[1] ?? ''
  await run('log', 'bundle', gate.directory, '--entry', '0', '--out', join(gate.directory, 'after.html'))
})

afterAll(async () => {
  await gate.stop()
})

test('the event, the handing over, the new key in its place, and the old one gone', () => {
  expect(readFileSync(log('keys'), 'utf8').split('\n')[0]).toBe(to)
  expect(readFileSync(join(gate.directory, 'log.key'), 'utf8')).not.toContain(oldSeed)
  expect(readFileSync(join(gate.directory, 'logs', 'gate.log'), 'utf8')).not.toContain(oldSeed)
  expect(gate.events().filter(({ type }) => type === 'log.key_rotated')).toMatchObject([{ data: { from, to } }])
  const { verdict } = openCheckpoint(readFileSync(log('checkpoint'), 'utf8'), [from, to].map(parseVerifierKey))
  expect(verdict.verified.map(({ key }) => key)).toEqual([parseVerifierKey(to)])
})

test('a verifier accepts the chain from the old key, from the new one, from the vault, and from beside the log', async () => {
  for (const flags of [
    [],
    ['--log-key', from],
    ['--log-key', to],
    ['--witness', 'none'],
    ['--witness', 'none', '--log-key', from],
  ]) {
    const { code, output } = await verify(...flags)
    expect(code, output).toBe(0)
  }
})

test('bundles made before and after it', async () => {
  const check = async (file: string, ...keys: string[]): Promise<number | null> =>
    (await run('verify', join(gate.directory, file), '--witness-key', witnessKey, ...keys.flatMap((key) => ['--log-key', key])))
      .code
  expect(await check('before.html', from)).toBe(0)
  expect(await check('after.html', from)).toBe(0)
  expect(await check('after.html', to)).toBe(0)
  // Whoever pins the new key alone cannot know of the one before.
  expect(await check('before.html', to)).toBe(1)
})

test('what a thief of the old key signs after it is not believed', async () => {
  const kept = readFileSync(log('checkpoint'), 'utf8')
  const handed = readFileSync(log('rotations'), 'utf8')
  const { checkpoint } = openCheckpoint(kept, [])
  const stolen = noteSigner(checkpoint.origin, Buffer.from(oldSeed, 'hex'))
  const thief = noteSigner(checkpoint.origin, Buffer.alloc(32, 9))
  try {
    writeFileSync(log('checkpoint'), signCheckpoint(checkpoint, stolen))
    expect((await verify('--log-key', from)).output).toContain('replaced before the log was this large')
    expect((await verify('--log-key', to)).code).toBe(1)
    writeFileSync(log('checkpoint'), signCheckpoint(checkpoint, thief))
    writeFileSync(log('rotations'), JSON.stringify([signRotation(stolen, thief, checkpoint.size).note]))
    expect((await verify('--log-key', from)).output).toContain('replaced twice')
    expect((await verify('--log-key', to)).code).toBe(1)
    expect((await verify()).code).toBe(1)
    writeFileSync(log('rotations'), 'no list')
    expect((await verify()).code).toBe(2)
  } finally {
    writeFileSync(log('checkpoint'), kept)
    writeFileSync(log('rotations'), handed)
  }
})

test('a key that is gone is not replaced by itself, and the command refuses to guess', async () => {
  const seed = readFileSync(join(gate.directory, 'log.key'))
  rmSync(join(gate.directory, 'log.key'))
  expect((await run('log', 'rotate-key', '--state', gate.directory)).code).toBe(2)
  await expect(gate.start()).rejects.toThrow(/./)
  writeFileSync(join(gate.directory, 'log.key'), seed)
  await gate.start()
  expect((await run('log', 'rotate-key', '--state', gate.directory)).code).toBe(0)
  expect((await run('log', 'rotate-key', '--state', gate.directory)).errors).toContain('waits already')
  await gate.crash()
  await gate.start()
  expect(gate.events().filter(({ type }) => type === 'log.key_rotated')).toHaveLength(2)
  expect((await verify('--log-key', from)).code).toBe(0)
})
