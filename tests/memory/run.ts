import { parseArgs } from 'node:util'
import { openMemoryStage, type Streamed } from './gate-memory.ts'

/**
 * `node tests/memory/run.ts --gigabytes 10 --sessions 1000`: streams so much through a real gate each way, lets readers be slow and sessions idle,
 * prints one JSON document, exit 0 only when every bound holds.
 */
const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '1000' },
    'slow-seconds': { type: 'string', default: '20' },
  },
})
const bytes = Number(values.gigabytes) * 1024 ** 3
const sessions = Number(values.sessions)
const slowSeconds = Number(values['slow-seconds'])
const mib = 1024 ** 2
const swingMaxBytes = 64 * mib
const sessionMaxBytes = 100 * 1024

const inMib = (value: number): number => Number((value / mib).toFixed(1))
const shown = ({ bytes: passed, seconds, startBytes, mostBytes, leastBytes }: Streamed): object => ({
  megabytes: Math.round(passed / mib),
  seconds,
  startMib: inMib(startBytes),
  upMib: inMib(mostBytes - startBytes),
  downMib: inMib(startBytes - leastBytes),
})

// A gate that has seen nothing else, since what streams leave behind in its heap would be counted as what sessions need, or hide it.
const idle = await (async () => {
  await using stage = await openMemoryStage(sessions)
  return await stage.idleSessions(sessions)
})()
await using stage = await openMemoryStage(50)
const streams = {
  copyOut: await stage.copyOut(bytes),
  copyIn: await stage.copyIn(bytes),
  select: await stage.select(bytes),
  readsOneKibASecond: await stage.readSlowly(1024, slowSeconds),
  neverReads: await stage.readSlowly(0, slowSeconds),
  serverNeverReads: await stage.sendToBlocked(slowSeconds),
}
const over = Object.entries(streams)
  .filter(
    ([, { startBytes, mostBytes, leastBytes }]) => Math.max(mostBytes - startBytes, startBytes - leastBytes) > swingMaxBytes,
  )
  .map(([name]) => name)
if (idle.bytesEach > sessionMaxBytes) over.push('idleSessions')
process.stdout.write(
  `${JSON.stringify(
    {
      swingMaxMib: inMib(swingMaxBytes),
      streams: Object.fromEntries(Object.entries(streams).map(([name, streamed]) => [name, shown(streamed)])),
      idleSessions: { ...idle, kibEach: Number((idle.bytesEach / 1024).toFixed(1)), kibEachMax: sessionMaxBytes / 1024 },
      over,
    },
    null,
    2,
  )}\n`,
)
const swings = Object.values(streams).map(({ startBytes, mostBytes, leastBytes }) =>
  Math.max(mostBytes - startBytes, startBytes - leastBytes),
)
process.stderr.write(
  `figure: ${values.gigabytes} GB each way swing the gate by ${inMib(Math.max(...swings))} MiB at most (${inMib(swingMaxBytes)} allowed); an idle session costs ${(idle.bytesEach / 1024).toFixed(1)} KiB (${sessionMaxBytes / 1024} allowed)\n`,
)
process.exitCode = over.length === 0 ? 0 : 1
