import { parseArgs } from 'node:util'
import { startObjectStore } from '../servers/object-store.ts'
import { fillDisk } from './full-disk.ts'
import { killSeals, type KilledSeals } from './killed-seals.ts'

/**
 * `node tests/vault/run.ts --kills 100 --bucket-kills 100 --fills 100`: kills a vault, and fills its disk, at random points of sealing. Prints
 * one JSON document; exit 0 only when nothing acknowledged was lost and nothing partial was taken for whole.
 */
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    'bucket-kills': { type: 'string', default: '100' },
    fills: { type: 'string', default: '100' },
  },
})

function countOf(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 0 || count > 1000) throw new RangeError('each takes a whole number from 0 to 1000')
  return count
}

async function killOnBucket(kills: number): Promise<KilledSeals> {
  const server = await startObjectStore()
  try {
    const flags = ['--bucket', await server.makeBucket('copies'), '--bucket-credential', server.credentialFile, '--folder-too']
    return await killSeals(kills, flags, Math.random)
  } finally {
    await server.stop()
  }
}

const [kills, bucketKills, fills] = [countOf(values.kills), countOf(values['bucket-kills']), countOf(values.fills)]
const onFolder = kills > 0 ? await killSeals(kills, [], Math.random) : null
const onBucket = bucketKills > 0 ? await killOnBucket(bucketKills) : null
const onFullDisk = fills > 0 ? await fillDisk(fills, Math.random) : null
process.stdout.write(`${JSON.stringify({ onFolder, onBucket, onFullDisk }, null, 2)}\n`)
const all = [onFolder, onBucket, onFullDisk].filter((one) => one !== null)
const lost = all.reduce((sum, one) => sum + one.lost, 0)
const faults = all.reduce((sum, one) => sum + one.faults.length, 0)
process.stderr.write(`figure: ${kills + bucketKills} kills and ${fills} full disks: ${lost} copies lost, ${faults} faults\n`)
process.exitCode = all.every(({ lost, faults }) => lost === 0 && faults.length === 0) ? 0 : 1
