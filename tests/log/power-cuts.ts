import { noteSigner } from '@sallyport/core'
import { openLog } from '../../packages/gateway/src/log/file-log.ts'
import { FailingDisk } from '../fakes/failing-disk.ts'
import { below } from '../proofs/seeded.ts'
import { Witnessed } from './witnessed.ts'

const directory = '/log'
const lives = 3
const writersMax = 12
const turnsMax = 40

export interface Cut {
  cuts: number
  acknowledged: number
  checkpoints: number
  torn: number
  readonly lost: string[]
}

/**
 * The power goes so often, in the middle of writing, on a disk that forgets what was not synced, in blocks and in any order. What was acknowledged
 * or signed up to that moment is looked for when the log is opened again.
 */
export async function cutOften(cuts: number, chance: () => number): Promise<Cut> {
  const result: Cut = { cuts: 0, acknowledged: 0, checkpoints: 0, torn: 0, lost: [] }
  while (result.cuts < cuts) {
    let disk = new FailingDisk()
    const witnessed = new Witnessed()
    for (let life = 0; life < lives; life += 1) disk = await liveOn(disk, witnessed, chance, result)
    const { acknowledged, checkpoints } = witnessed.counts()
    result.acknowledged += acknowledged
    result.checkpoints += checkpoints
  }
  return result
}

async function liveOn(disk: FailingDisk, witnessed: Witnessed, chance: () => number, result: Cut): Promise<FailingDisk> {
  const signer = noteSigner('gate.example/log', Buffer.alloc(32, 7))
  const clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined }
  const settings = { directory, signer, clock, witness: null, system: disk.system, segmentBytesMax: 6000, checkpointEveryMs: 1 }
  const log = await openLog(settings)
  const power = { isOn: true }
  const sign = (text: string | null): void => {
    if (text !== null && power.isOn) witnessed.signed(text)
  }
  sign(log.checkpoint())
  log.onCheckpoint(sign)
  let place = witnessed.nextPlace
  const write = async (): Promise<void> => {
    while (power.isOn) {
      const mine = place
      place += 1
      const index = await log.append({ type: 'intent', atMs: 1, data: { place: mine, padding: 'x'.repeat(below(chance, 1500)) } })
      if (power.isOn) witnessed.acknowledged(index, mine)
    }
  }
  const writing = Array.from({ length: 1 + below(chance, writersMax) }, write)
  for (let turns = below(chance, turnsMax); turns > 0; turns -= 1) await new Promise(setImmediate)
  power.isOn = false
  const left = disk.powerCut(chance)
  await Promise.all(writing)
  await log.close()
  result.cuts += 1
  const again = await openLog({ ...settings, system: left.system })
  if (again.health().torn !== null) result.torn += 1
  witnessed.signed(again.checkpoint() ?? '')
  await again.close()
  const segments = left.paths().filter((path) => path.startsWith(`${directory}/entries/`))
  result.lost.push(...witnessed.missingFrom(segments.map((path) => left.bytes(path))).lost)
  return left
}
