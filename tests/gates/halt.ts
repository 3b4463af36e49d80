import { z } from 'zod'
import { pullSwitch } from '../../packages/cli/src/switch-client.ts'
import { relayCountsShape, type RelayCounts } from '../fakes/counting-relay.ts'
import { Forked } from '../fakes/forked.ts'
import { quantile } from '../kill/killed-runaway.ts'
import { kinds, runaway, runawaySaysShape, type RunawayAsk } from '../kill/runaway.ts'
import { openThreeGates, type ThirdGate } from './three-gates.ts'

/** One kill of an agent that runs away at all three gates at once. */
export interface Halt {
  /** From sending the kill to the last byte of the agent's that any of the relays read. */
  readonly lastByteMs: number
  readonly answeredMs: number
  /** Read by any relay after the kill's answer was read here. Must be 0. */
  readonly bytesAfterAnswer: number
  readonly bytesBefore: number
  /** Sessions that the killed agent got afterwards, at any gate. Must be 0. */
  readonly admitted: number
  readonly everywhere: boolean
}

const waitMaxMs = 30_000
/** What the goal is over three gates, for the slowest of a hundred (DESIGN §11). */
const lastByteGoalMs = 250

/** What a number of kills showed, for a document and in a sentence. */
export function judgeHalts(halts: readonly Halt[]): {
  readonly figures: object
  readonly sentence: string
  /** Nothing came late, nobody was let in, every gate confirmed, and it was quick enough. */
  readonly isWell: boolean
} {
  const spread = (all: readonly number[]): object => ({
    p50: Number(quantile(all, 0.5).toFixed(1)),
    p99: Number(quantile(all, 0.99).toFixed(1)),
    max: Number(Math.max(...all).toFixed(1)),
  })
  const lastByteMs = halts.map((halt) => halt.lastByteMs)
  const faults = halts.filter(
    ({ bytesAfterAnswer, admitted, everywhere }) => bytesAfterAnswer !== 0 || admitted !== 0 || !everywhere,
  )
  const p99 = quantile(lastByteMs, 0.99)
  return {
    figures: {
      kills: halts.length,
      lastByteMs: spread(lastByteMs),
      answeredMs: spread(halts.map((halt) => halt.answeredMs)),
      faults,
    },
    sentence: `${halts.length} kills over three gates, ${faults.length} failed; last byte after ${p99.toFixed(1)} ms (p99; goal ${lastByteGoalMs})\n`,
    isWell: faults.length === 0 && p99 <= lastByteGoalMs,
  }
}

/** @param runs how many kills, each of another agent and by another gate than the one before */
export async function measureHalts(runs: number): Promise<readonly Halt[]> {
  const names = Array.from({ length: runs }, (_, number) => `runaway-${number}`)
  await using stage = await openThreeGates(names)
  const agents = stage.gates.map(() => new Forked(runaway))
  const halts: Halt[] = []
  try {
    for (const [number, name] of names.entries()) halts.push(await haltOnce(stage.gates, agents, name, number))
  } finally {
    await Promise.all(agents.map((agent) => agent.stop()))
  }
  return halts
}

async function haltOnce(gates: readonly ThirdGate[], agents: readonly Forked[], name: string, number: number): Promise<Halt> {
  const by = gates[number % gates.length]
  if (by === undefined) throw new RangeError('there is no gate')
  const handle = await by.gate.issue(name)
  await Promise.all(gates.map(({ counter }) => counter.ask({ ask: 'forget' }, z.object({ forgotten: z.literal(true) }))))
  await Promise.all(
    gates.map(async ({ gate }, index) => {
      const ask: RunawayAsk = { port: gate.port, agent: name, handle, database: 'orders-db', kinds: [...kinds], returns: 2 }
      return agents[index]?.ask(ask, runawaySaysShape)
    }),
  )
  const bytesBefore = await untilAllFlow(gates)
  const sentNs = process.hrtime.bigint()
  const said = await pullSwitch(by.gate.directory, { kind: 'agent', name, reason: 'a runaway', drain: false })
  const answeredNs = process.hrtime.bigint()
  const ended = await Promise.all(agents.map((agent) => agent.next(runawaySaysShape)))
  const counts = await untilClosed(gates, answeredNs)
  const lastByteNs = counts.map((one) => BigInt(one.lastByteNs)).reduce((last, one) => (one > last ? one : last), 0n)
  return {
    lastByteMs: Number(lastByteNs - sentNs) / 1e6,
    answeredMs: Number(answeredNs - sentNs) / 1e6,
    bytesAfterAnswer: counts.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0),
    bytesBefore,
    admitted: ended.reduce((sum, one) => sum + (one.says === 'ended' ? one.admitted : Number.NaN), 0),
    everywhere: said.everywhere,
  }
}

function countAll(gates: readonly ThirdGate[], afterNs: bigint): Promise<readonly RelayCounts[]> {
  return Promise.all(gates.map(({ counter }) => counter.ask({ ask: 'counts', afterNs: String(afterNs) }, relayCountsShape)))
}

/** The agent is at it at every gate while we look: bytes are still coming. */
async function untilAllFlow(gates: readonly ThirdGate[]): Promise<number> {
  const first = await countAll(gates, 0n)
  const deadline = Date.now() + waitMaxMs
  for (;;) {
    const now = await countAll(gates, 0n)
    if (now.every(({ bytes }, index) => bytes > (first[index]?.bytes ?? 0))) return now.reduce((sum, { bytes }) => sum + bytes, 0)
    if (Date.now() > deadline) throw new Error('an agent sends nothing')
  }
}

async function untilClosed(gates: readonly ThirdGate[], afterNs: bigint): Promise<readonly RelayCounts[]> {
  const deadline = Date.now() + waitMaxMs
  for (;;) {
    const counts = await countAll(gates, afterNs)
    if (counts.every(({ open }) => open === 0)) return counts
    if (Date.now() > deadline) throw new Error('connections to the server are still open')
  }
}
