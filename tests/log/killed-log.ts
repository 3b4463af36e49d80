import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { noteSigner } from '@sallyport/core'
import { openLog } from '../../packages/gateway/src/log/file-log.ts'
import { childEnvironment } from '../fakes/child-environment.ts'
import { below } from '../proofs/seeded.ts'
import { Witnessed } from './witnessed.ts'

const writer = fileURLToPath(new URL('./log-writer.ts', import.meta.url))
/** Longest life after its first acknowledgement, ms. */
const lifeMsMax = 250
/** Lives of one log; then another is begun, so that reading it all again stays short. */
const livesOfOne = 20

export interface Killed {
  kills: number
  acknowledged: number
  checkpoints: number
  entries: number
  torn: number
  readonly lost: string[]
}

/** `kill -9` so often, at random moments while it writes; after each, everything that was ever acknowledged or signed is looked for. */
export async function killOften(kills: number, chance: () => number): Promise<Killed> {
  const result: Killed = { kills: 0, acknowledged: 0, checkpoints: 0, entries: 0, torn: 0, lost: [] }
  while (result.kills < kills) await killOne(Math.min(livesOfOne, kills - result.kills), chance, result)
  return result
}

async function killOne(lives: number, chance: () => number, result: Killed): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sp-log-kill-'))
  const directory = join(folder, 'log')
  const witnessed = new Witnessed()
  try {
    for (let life = 0; life < lives; life += 1) {
      const before = witnessed.counts()
      await liveAndDie(directory, below(chance, lifeMsMax), witnessed)
      result.kills += 1
      const after = witnessed.counts()
      result.acknowledged += after.acknowledged - before.acknowledged
      result.checkpoints += after.checkpoints - before.checkpoints
      const looked = await lookAt(directory, witnessed)
      result.torn += looked.torn
      result.lost.push(...looked.lost)
      if (life === lives - 1) result.entries += looked.entries
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function liveAndDie(directory: string, afterMs: number, witnessed: Witnessed): Promise<void> {
  const child = spawn(process.execPath, [writer, directory, String(witnessed.nextPlace)], {
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  let timer: NodeJS.Timeout | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    witnessed.hear(line)
    timer ??= setTimeout(() => child.kill('SIGKILL'), afterMs)
  }
  await ended
}

async function lookAt(
  directory: string,
  witnessed: Witnessed,
): Promise<{ readonly torn: number; readonly entries: number; readonly lost: readonly string[] }> {
  const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
  const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined }
  const log = await openLog({ directory, signer, clock, witness: null })
  const torn = log.health().torn === null ? 0 : 1
  witnessed.signed(log.checkpoint() ?? '')
  await log.close()
  const entries = join(directory, 'entries')
  const { size, lost } = witnessed.missingFrom(
    readdirSync(entries)
      .toSorted()
      .map((name) => readFileSync(join(entries, name))),
  )
  return { torn, entries: size, lost }
}
