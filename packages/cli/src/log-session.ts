import { join } from 'node:path'
import {
  collectThreads,
  cutSentence,
  decodeEntry,
  type Event,
  leftOutSentence,
  LogFormatError,
  type SessionBrief,
  SessionList,
  type SessionStory,
  stepWords,
  StoryTeller,
  totalsSentence,
  visibleLine,
  visibleText,
} from '@sallyport/core'
import type { Command } from 'commander'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { entriesOf } from './log-entries.ts'
import { findLog, openLogFiles } from './log-files.ts'

const defaultDirectory = join('.sallyport', 'log')
const listShape = z.object({ agent: z.string().optional(), count: z.number().default(50), json: z.boolean().default(false) })
const sessionShape = z.object({ json: z.boolean().default(false) })
const idMin = 4
/** Sessions kept in mind while a log is read. */
const sessionsMax = 1_000_000

/** `log sessions` and `log session`: what each run of each agent did. */
export function addSessions(command: Command, parseCount: (text: string) => number): void {
  command
    .command('sessions')
    .description('Lists the sessions on the log, newest first; verifies nothing.')
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--agent <name>', 'of this agent')
    .option('--count <number>', 'how many at most (default: 50)', parseCount)
    .option('--json', 'one JSON object a line')
    .action(async (directory: string, given: unknown) => list(directory, listShape.parse(given)))
  command
    .command('session')
    .description(
      'Replays one session in words: what was sent, what was decided and by whom, copies, outcomes, times; verifies nothing.',
    )
    .argument('<id>', 'the session, or the beginning of its id')
    .argument('[directory]', 'the log, or the state directory that holds it', defaultDirectory)
    .option('--json', 'one JSON object, as the people’s listener gives it')
    .action(async (id: string, directory: string, given: unknown) => replay(id, directory, sessionShape.parse(given)))
}

/** Events in their order; what cannot be read is counted, and said. */
async function* eventsOf(
  directory: string,
  unreadable: { count: number },
): AsyncGenerator<{ index: number; event: Event }, void> {
  for await (const { index, entry } of entriesOf(await openLogFiles(directory))) {
    let event: Event
    try {
      event = decodeEntry(entry)
    } catch (error) {
      if (!(error instanceof LogFormatError)) throw error
      unreadable.count += 1
      continue
    }
    yield { index, event }
  }
}

async function list(given: string, { agent, count, json }: z.infer<typeof listShape>): Promise<void> {
  const sessions = new SessionList(sessionsMax)
  const unreadable = { count: 0 }
  for await (const { index, event } of eventsOf(await findLog(given), unreadable)) sessions.add(index, event)
  const found = sessions.list(agent ?? null)
  for (const brief of found.slice(0, count)) process.stdout.write(json ? `${JSON.stringify(brief)}\n` : `${briefLine(brief)}\n`)
  if (found.length > count) process.stderr.write(`${found.length - count} older sessions are not listed: --count lists more.\n`)
  if (found.length === 0 && !json) process.stderr.write('No session on this log.\n')
  warnOf(unreadable)
}

function briefLine(brief: SessionBrief): string {
  const { id, agent, owner, upstream, protocol, openedAtMs, closedAtMs, reads, ran, refused, asked, troubles } = brief
  const seconds = closedAtMs === null ? 'not closed' : `${((closedAtMs - openedAtMs) / 1000).toFixed(1)} s`
  const did = `${reads} reads, ${ran} sent, ${refused} refused, ${asked} asked for, ${troubles} troubles`
  return visibleLine(
    `${new Date(openedAtMs).toISOString()}  ${id.slice(0, 12)}  ${agent} (for ${owner}) on ${upstream} by ${protocol}, ${seconds}: ${did}`,
  )
}

async function replay(id: string, given: string, { json }: z.infer<typeof sessionShape>): Promise<void> {
  const directory = await findLog(given)
  const unreadable = { count: 0 }
  const whole = await findSession(directory, id)
  const threads = collectThreads(whole)
  for await (const { event } of eventsOf(directory, { count: 0 })) threads.see(event)
  const teller = new StoryTeller(whole, threads.threads)
  for await (const { index, event } of eventsOf(directory, unreadable)) teller.add(index, event)
  const story = teller.finish()
  process.stdout.write(json ? `${JSON.stringify(story)}\n` : describeStory(story))
  warnOf(unreadable)
}

async function findSession(directory: string, beginning: string): Promise<string> {
  const found = new Set<string>()
  if (beginning.length >= idMin)
    for await (const { event } of eventsOf(directory, { count: 0 }))
      if (event.session?.startsWith(beginning) === true) found.add(event.session)
  const [only] = found
  if (only !== undefined && found.size === 1) return only
  throw new CommandFailure(
    exitCodes.usage,
    found.size === 0 ? 'no_session' : 'several_sessions',
    found.size === 0 ? `No session on this log begins with "${visibleLine(beginning)}".` : `${found.size} sessions begin so.`,
    'Nothing was replayed.',
    `Give ${idMin} characters of its id or more; \`sallyport log sessions\` lists them.`,
  )
}

function warnOf({ count }: { readonly count: number }): void {
  if (count > 0) process.stderr.write(`${count} entries cannot be read and were passed over: run \`sallyport log verify\`.\n`)
}

function describeStory(story: SessionStory): string {
  const { id, agent, owner, upstream, protocol, peer, steps, leftOut } = story
  const lines = [
    visibleLine(`Session ${id}: ${agent} (for ${owner}) on ${upstream}, by ${protocol} from ${peer}`),
    visibleLine(`${totalsSentence(story)}${story.closedAtMs === null ? ' · not closed' : ''}`),
    '',
  ]
  let told = false
  for (const step of steps) {
    if (leftOut !== null && !told && step.index > leftOut.toIndex) {
      told = true
      lines.push(`  … ${leftOutSentence(story) ?? ''}`)
    }
    const { sign, word, sentence } = stepWords(step)
    lines.push(visibleLine(`${new Date(step.atMs).toISOString()}  ${sign} ${word.padEnd(8)}  ${sentence}  [${step.index}]`))
    if (step.text === null) continue
    // Behind a bar of its own on each line, so that no text can pass for a line of ours.
    lines.push(
      ...visibleText(step.text.text)
        .split('\n')
        .map((line) => `    │ ${line}`),
    )
    const cut = cutSentence(step.text)
    if (cut !== null) lines.push(`    ✂ ${cut}`)
  }
  return `${lines.join('\n')}\n`
}
