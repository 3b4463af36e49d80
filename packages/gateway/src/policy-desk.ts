import type { TrialView } from '@sallyport/console'
import {
  AskReader,
  type Event,
  type LoggedAsk,
  SallyportError,
  type TriedExpectation,
  tryExpectation,
  type PolicyEngine,
} from '@sallyport/core'
import { parseConfig, type Config } from './config.ts'
import { type Change, changeText } from './configuration-change.ts'
import type { ConfigurationDesk } from './configuration-desk.ts'
import { rulesOf, type TrialInput, unmetOf } from './policy-trial.ts'

interface Recorded {
  readonly index: number
  readonly event: Event
}

export interface PolicyDeskPorts {
  readonly configuration: Pick<ConfigurationDesk, 'proposeText'>
  readonly inForce: Config
  readonly policy: PolicyEngine
  readonly record: { size(): number; read(from: number, count: number): Promise<readonly Recorded[]> }
  readonly sessions: () => readonly { readonly id: string; readonly upstream: string }[]
  /** How the upstreams stand now. */
  readonly standing: () => Promise<Pick<TrialInput, 'restorePoints' | 'undrilled'>>
  readonly run: (input: TrialInput) => Promise<TrialView>
}

/** A trial, and what of the log it had to leave out. */
export interface ShownTrial {
  readonly trial: TrialView
  /** Entries whose session was opened too long ago, or that were cut. */
  readonly unread: number
}

export type Proposing =
  | { readonly outcome: 'unmet' | 'mistakes'; readonly lines: readonly string[] }
  | { readonly outcome: 'same' | 'narrower' }
  | { readonly outcome: 'proposed'; readonly widenings: readonly string[] }

/** What people may try with the policy. Nothing here changes what is in force: it ends in a proposal, which takes passkeys. */
export interface PolicyDesk {
  /** What is expected of the configuration in force, and whether it keeps to it as things stand. */
  expectations(): Promise<readonly TriedExpectation[]>
  trial(text: string): Promise<ShownTrial>
  /** The text in force with one change in it, comments kept. @throws SallyportError when it does not fit */
  draft(change: Change): string
  /** What a text does not keep to of what it itself expects, a line each: a gate that starts with another file proposes it untried. */
  unmet(text: string): Promise<readonly string[]>
  /** Tried once more, here: nothing is proposed that does not keep to what is expected. */
  propose(text: string, by: string): Promise<Proposing>
}

/** Entries read back, and requests of them that are tried. */
const entriesMax = 10_000
const asksMax = 2_000
/** Read at once: between two readings others have their turn. */
const batch = 500

export function openPolicyDesk(ports: PolicyDeskPorts): PolicyDesk {
  let busy = false
  let looked: { readonly text: string; readonly lines: readonly string[] } | null = null
  const { inForce } = ports
  const run = async (text: string, asks: readonly LoggedAsk[]): Promise<TrialView> =>
    ports.run({ path: inForce.path, textInForce: inForce.text, text, asks, ...(await ports.standing()) })
  /** One at a time: it takes a processor for itself. */
  const alone = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (busy)
      throw new SallyportError('limit_exceeded', 'Another trial runs.', 'This one was not begun.', 'Try again in a moment.')
    busy = true
    try {
      return await work()
    } finally {
      busy = false
    }
  }
  return {
    expectations: async () => {
      const rules = rulesOf(inForce, await ports.standing(), ports.policy)
      return inForce.expect.map((one) => tryExpectation(one, rules))
    },
    trial: (text) =>
      alone(async () => {
        const { asks, unread } = await readAsks(ports)
        return { trial: await run(text, asks), unread }
      }),
    unmet: async (text) => {
      const read = parseConfig(text, inForce.path)
      if (read.ok && read.config.expect.length === 0) return []
      // Asked before the passkey and after it: the same text keeps to the same.
      if (looked?.text !== text) looked = { text, lines: unmetOf(await run(text, [])) }
      return looked.lines
    },
    draft: (change) => changeText(inForce.text, change),
    propose: (text, by) =>
      alone(async () => {
        const trial = await run(text, [])
        if (trial.outcome === 'mistakes') return trial
        const lines = unmetOf(trial)
        return lines.length > 0 ? { outcome: 'unmet', lines } : ports.configuration.proposeText(text, by)
      }),
  }
}

async function readAsks({ record, sessions }: PolicyDeskPorts): Promise<{ asks: readonly LoggedAsk[]; unread: number }> {
  const reader = new AskReader()
  for (const { id, upstream } of sessions()) reader.know(id, upstream)
  const asks: LoggedAsk[] = []
  let unread = 0
  const size = record.size()
  for (let from = Math.max(0, size - entriesMax); from < size; from += batch)
    for (const { index, event } of await record.read(from, Math.min(batch, size - from))) {
      const ask = reader.read(index, event)
      if (ask === null) continue
      if ('why' in ask) unread += 1
      else asks.push(ask)
    }
  return { asks: asks.slice(-asksMax), unread }
}
