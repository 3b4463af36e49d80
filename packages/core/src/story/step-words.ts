import type { SessionStory } from './session-story.ts'
import type { StoryOperation, StoryStep } from './story-step.ts'

/** A step in words, for a terminal or a page. What an agent, a server or a person wrote in it is hostile still. */
export interface StepWords {
  readonly sign: string
  readonly word: string
  readonly tone: 'calm' | 'warn' | 'danger'
  readonly sentence: string
}

/** Names of one operation's resources that are said; the rest is counted. */
const namesSaid = 5
const operationsSaid = 5

export function stepWords(step: StoryStep): StepWords {
  const { said, people, operations } = step
  const by = people.length === 0 ? '' : `by ${people.join(' and ')}`
  switch (step.kind) {
    case 'opened':
      return { sign: '→', word: 'opened', tone: 'calm', sentence: said }
    case 'closed':
      return { sign: '←', word: 'closed', tone: 'calm', sentence: said }
    case 'read':
      return { sign: '○', word: 'read', tone: 'calm', sentence: join([nameOperations(operations), timesOf(step)]) }
    case 'ran':
      return ranWords(step)
    case 'refused':
      return { sign: '✕', word: 'refused', tone: 'warn', sentence: join([nameOperations(operations), said]) }
    case 'prepared':
      return { sign: '◇', word: 'prepared', tone: 'calm', sentence: join([nameOperations(operations), said]) }
    case 'asked':
      return { sign: '◷', word: 'asked', tone: 'warn', sentence: join([nameOperations(operations), requestOf(step)]) }
    case 'verdict':
      return { sign: '✓', word: 'verdict', tone: 'warn', sentence: join([people.join(' and '), said, requestOf(step)]) }
    case 'settled':
      return { sign: '–', word: 'settled', tone: 'calm', sentence: join([said, by, requestOf(step)]) }
    case 'copied':
      return { sign: '▣', word: 'copy', tone: 'calm', sentence: join([said, rowsOf(step), copyOf(step)]) }
    case 'undone':
      return { sign: '↶', word: 'undone', tone: 'warn', sentence: join([rowsOf(step), copyOf(step), by]) }
    case 'alarm':
      return { sign: '⚠', word: 'ALARM', tone: 'danger', sentence: said }
    case 'stopped':
      return { sign: '■', word: 'KILL', tone: 'danger', sentence: join([said, by]) }
    case 'released':
      return { sign: '▶', word: 'released', tone: 'warn', sentence: join([said, by]) }
    case 'other':
      return { sign: '·', word: 'also', tone: 'calm', sentence: join([said, by]) }
  }
}

function ranWords(step: StoryStep): StepWords {
  const { operations, result, said, durationMs, people } = step
  const took = durationMs === null ? '' : `${durationMs} ms`
  const approved = people.length === 0 ? '' : `approved by ${people.join(' and ')}`
  const sentence = join([
    nameOperations(operations),
    result === 'open' ? 'no outcome on the log' : (result ?? ''),
    rowsOf(step),
    took,
    said,
    approved,
    requestOf(step),
    copyOf(step),
  ])
  return { sign: '▶', word: 'ran', tone: result === 'succeeded' ? 'calm' : 'warn', sentence }
}

/** What a session did, in one line. */
export function totalsSentence({ totals }: Pick<SessionStory, 'totals'>): string {
  const { reads, ran, failed, unknown, refused, asked, rows, copies, alarms } = totals
  return [
    amount(reads, 'read'),
    `${amount(ran, 'operation')} sent (${failed} failed, ${unknown} unknown), ${amount(rows, 'row')} changed`,
    `${refused} refused`,
    `${asked} asked for`,
    amount(copies, 'copy', 'copies'),
    amount(alarms, 'alarm'),
  ].join(' · ')
}

/** What is left out of its middle, and how to have it. */
export function leftOutSentence({ leftOut, id }: SessionStory): string | null {
  if (leftOut === null) return null
  const { steps, fromIndex, toIndex, sha256 } = leftOut
  return `${amount(steps, 'step')} left out here, entries ${fromIndex} to ${toIndex} of the log, SHA-256 ${sha256}; \`sallyport log search --session ${id}\` has them.`
}

/** What a text lacks of what the log holds; null when it is whole. */
export function cutSentence({ text, characters, sha256 }: NonNullable<StoryStep['text']>): string | null {
  if (sha256 === null) return null
  return `${text.length} of ${characters} characters; SHA-256 of the text on the log ${sha256}`
}

function nameOperations(operations: readonly StoryOperation[]): string {
  const named = operations.slice(0, operationsSaid).map(({ action, kind, resources }) => {
    const more = resources.length - namesSaid
    const names = `${resources.slice(0, namesSaid).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
    return `${[action, names].filter((part) => part !== '').join(' ')} (${kind})`
  })
  const more = operations.length - operationsSaid
  return `${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}`
}

function timesOf({ times, lastAtMs }: StoryStep): string {
  return times <= 1 ? '' : `${times} times, last ${new Date(lastAtMs).toISOString().slice(11, 19)}`
}

function rowsOf({ rows }: StoryStep): string {
  return rows === null ? '' : amount(rows, 'row')
}

function requestOf({ request }: StoryStep): string {
  return request === null ? '' : `request ${request.slice(0, 12)}`
}

function copyOf({ snapshot }: StoryStep): string {
  return snapshot === null ? '' : `copy ${snapshot.slice(0, 12)}`
}

function amount(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}

function join(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' · ')
}
