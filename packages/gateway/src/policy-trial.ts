import { namedQuorumOf } from './approval-settings.ts'
import type { TrialView } from '@sallyport/console'
import { type LoggedAsk, rehearse, type Rules, type Treatment, tryExpectation } from '@sallyport/core'
import { parseConfig, type Config } from './config.ts'
import { governSettings, makePolicy } from './policy-settings.ts'
import { acceptedOf, digestAccepted, findWidenings, widenedLinesMax } from './widening.ts'

/** A configuration to be tried beside the one in force. Plain data: it crosses to a thread. */
export interface TrialInput {
  readonly path: string
  readonly textInForce: string
  readonly text: string
  readonly asks: readonly LoggedAsk[]
  /** Upstreams that can be had again at every moment, proven. */
  readonly restorePoints: readonly string[]
  /** Upstreams of which a drill is demanded that did not pass lately enough. */
  readonly undrilled: readonly string[]
}

/** What this configuration would do: what it gives beyond the one in force, whether it keeps to what is expected, and what the log's requests would have got. */
export function tryPolicy(input: TrialInput): TrialView {
  const read = parseConfig(input.text, input.path)
  if (!read.ok)
    return { outcome: 'mistakes', lines: read.mistakes.map(({ line, what, hint }) => `line ${line}: ${what}; ${hint}`) }
  const before = parseConfig(input.textInForce, input.path)
  if (!before.ok)
    return { outcome: 'mistakes', lines: ['What is in force cannot be read any more: nothing can be compared with it.'] }
  try {
    return compare(before.config, read.config, input)
  } catch (error) {
    return { outcome: 'mistakes', lines: [error instanceof Error ? error.message : 'The policy cannot be made.'] }
  }
}

function compare(inForce: Config, tried: Config, input: TrialInput): TrialView {
  const [was, is] = [acceptedOf(inForce), acceptedOf(tried)]
  const widenings = findWidenings(was, is)
  const rules = rulesOf(tried, input)
  const dropped = inForce.expect.filter(({ text }) => !tried.expect.some((one) => one.text === text))
  return {
    outcome: 'read',
    gives: widenings.length > 0 ? 'wider' : digestAccepted(was) === digestAccepted(is) ? 'same' : 'narrower',
    widenings: widenings.slice(0, widenedLinesMax),
    expectations: [
      ...tried.expect.map((one) => ({ ...tryExpectation(one, rules), kept: true })),
      ...dropped.map((one) => ({ ...tryExpectation(one, rules), kept: false })),
    ],
    rehearsal: rehearse(input.asks, rulesOf(inForce, input), rules),
  }
}

/** Everything of a configuration that decides, with how its upstreams stand. */
export function rulesOf(
  config: Config,
  { restorePoints, undrilled }: Pick<TrialInput, 'restorePoints' | 'undrilled'>,
  policy = makePolicy(config),
): Rules {
  const { mode, coolOffMs, rowsWithoutPrompt, windowMs } = governSettings(config, () => [])
  return {
    policy,
    mode,
    coolOffMs,
    rowsWithoutPrompt,
    windowMs,
    ownerOf: (agent) => config.agents.find(({ name }) => name === agent)?.owner ?? null,
    environmentOf: (upstream) => config.upstreams.find(({ name }) => name === upstream)?.environment ?? null,
    // Who the provider says is in a group is not asked here: a trial may find that it would ask once more than it does.
    quorumOf: namedQuorumOf(config),
    hasRestorePoint: (upstream) => restorePoints.includes(upstream),
    isDrilled: (upstream) => !undrilled.includes(upstream),
  }
}

/** Expectations of the text itself that it does not keep to, a line each. */
export function unmetOf(trial: TrialView): readonly string[] {
  if (trial.outcome === 'mistakes') return trial.lines
  return trial.expectations
    .filter(({ kept, holds }) => kept && !holds)
    .map(({ text, got }) => `expect: "${text}" does not hold: it ${sayOutcome(got.outcome)}`)
}

function sayOutcome(outcome: Treatment['outcome']): string {
  return { runs: 'runs', asks: 'asks people', refused: 'is refused' }[outcome]
}
