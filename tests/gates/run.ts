import { parseArgs } from 'node:util'
import { runChaos } from './chaos.ts'
import { judgeHalts, measureHalts } from './halt.ts'

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
const wrong = Object.values(chaos?.wrong ?? {}).flat().length
const halting = halts.length === 0 ? null : judgeHalts(halts)
process.stdout.write(`${JSON.stringify({ seed: values.seed, chaos, halting: halting?.figures ?? null }, null, 2)}\n`)
if (chaos !== null)
  process.stderr.write(
    `figure: three gates, ${values.agents} agents, ${seconds} s of trouble: ${chaos.rows} operations ran, ${wrong} wrongly; ${chaos.killsAcknowledgedEverywhere} of ${chaos.kills} kills acknowledged everywhere; ${chaos.grantsUsed} one-use grants used\n`,
  )
if (halting !== null) process.stderr.write(`figure: ${halting.sentence}`)
process.exitCode = wrong === 0 && halting?.isWell !== false ? 0 : 1
