import { parseArgs } from 'node:util'
import { quantile } from '../kill/killed-runaway.ts'
import { runChaos } from './chaos.ts'
import { measureHalts } from './halt.ts'

/**
 * `node tests/gates/run.ts --seed 1 --seconds 60 --kills 30`: three gates on one store in trouble, then kills over all three. Prints one JSON
 * document; exit 0 only when nothing ran twice, nothing after its kill, no grant twice, and no byte came after a kill's answer.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
    agents: { type: 'string', default: '200' },
    width: { type: 'string', default: '24' },
    kills: { type: 'string', default: '30' },
  },
})
/** What the goal is, for the slowest of a hundred (DESIGN §11). */
const lastByteGoalMs = 250

function whole(text: string, name: string, least: number, most: number): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < least || number > most)
    throw new RangeError(`--${name} takes a whole number from ${least} to ${most}`)
  return number
}

const seconds = whole(values.seconds, 'seconds', 0, 3600)
const chaos =
  seconds === 0
    ? null
    : await runChaos({
        seed: whole(values.seed, 'seed', 0, 2 ** 31),
        agents: whole(values.agents, 'agents', 20, 1000),
        width: whole(values.width, 'width', 1, 100),
        forMs: seconds * 1000,
        grants: 20,
        victims: 16,
      })
const kills = whole(values.kills, 'kills', 0, 1000)
const halts = kills === 0 ? [] : await measureHalts(kills)
const spread = (all: readonly number[]): object => ({
  p50: Number(quantile(all, 0.5).toFixed(1)),
  p99: Number(quantile(all, 0.99).toFixed(1)),
  max: Number(Math.max(...all).toFixed(1)),
})
const lastByteMs = halts.map((halt) => halt.lastByteMs)
const faults = halts.filter(
  ({ bytesAfterAnswer, admitted, everywhere }) => bytesAfterAnswer !== 0 || admitted !== 0 || !everywhere,
)
const wrong = Object.values(chaos?.wrong ?? {}).flat().length
const halting =
  halts.length === 0
    ? null
    : {
        kills: halts.length,
        lastByteMs: spread(lastByteMs),
        answeredMs: spread(halts.map((halt) => halt.answeredMs)),
        faults,
      }
process.stdout.write(`${JSON.stringify({ seed: values.seed, chaos, halting }, null, 2)}\n`)
if (chaos !== null)
  process.stderr.write(
    `figure: three gates, ${values.agents} agents, ${seconds} s of trouble: ${chaos.rows} operations ran, ${wrong} wrongly; ${chaos.killsAcknowledgedEverywhere} of ${chaos.kills} kills acknowledged everywhere; ${chaos.grantsUsed} one-use grants used\n`,
  )
if (halts.length > 0)
  process.stderr.write(
    `figure: ${halts.length} kills over three gates, ${faults.length} failed; last byte after ${quantile(lastByteMs, 0.99).toFixed(1)} ms (p99; goal ${lastByteGoalMs})\n`,
  )
const slow = halts.length > 0 && quantile(lastByteMs, 0.99) > lastByteGoalMs
process.exitCode = wrong === 0 && faults.length === 0 && !slow ? 0 : 1
