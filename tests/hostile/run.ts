import { besiege } from './besieged-gate.ts'

/** `node tests/hostile/run.ts`: 50 good clients, then hostile ones beside them. Prints one JSON document; exit 0 only when both bounds hold. */
const riseMaxMs = 20
const dropMaxMs = 10_000

const siege = await besiege({ goodClients: 50, clientsOfEach: 4, quietMs: 5_000, siegeMs: 22_000 })
const riseMs = siege.during.p99Ms - siege.before.p99Ms
const kinds = Object.entries(siege.hostile.kinds)
const late = kinds
  .filter(([, { dropped, slowestMs, openLongestMs }]) => dropped === 0 || Math.max(slowestMs, openLongestMs) > dropMaxMs)
  .map(([kind]) => kind)
process.stdout.write(`${JSON.stringify({ ...siege, riseMs, riseMaxMs, dropMaxMs, late }, null, 2)}\n`)
const failures = siege.during.failures.length + siege.after.failures.length
process.stderr.write(
  `figure: the p99 of 50 good clients rose by ${riseMs.toFixed(1)} ms (at most ${riseMaxMs}); ${late.length} of ${kinds.length} kinds of hostile clients stayed longer than ${dropMaxMs / 1000} s; ${failures} good ones failed\n`,
)
process.exitCode = riseMs < riseMaxMs && late.length === 0 && failures === 0 ? 0 : 1
