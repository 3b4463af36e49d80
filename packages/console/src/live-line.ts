import { type Event, type EventType, type Json, visibleLine } from '@sallyport/core'
import { isTroubling, sentenceOf } from './live-sentence.ts'

/** One event as the live view shows it: ready text, every character visible. */
export interface LiveLine {
  readonly index: number
  readonly time: string
  readonly what: string
  readonly tone: 'calm' | 'warn' | 'danger'
  readonly detail: string
}

/** A line is a glance; the whole event is on the log. The cut says how much it left out. */
const detailCharacters = 400

export function liveLineOf(index: number, event: Event): LiveLine {
  const { sign, what, tone } = titleOf(event.type)
  return {
    index,
    time: new Date(event.atMs).toISOString().slice(11, 19),
    what: `${sign} ${what}`,
    tone: tone === 'calm' && isTroubling(event) ? 'warn' : tone,
    detail: visibleLine(cut(sentenceOf(event) ?? listFacts(event))),
  }
}

/** What has no sentence is shown as it is. */
function listFacts({ agent, data }: Event): string {
  const facts = Object.entries(data).flatMap(([key, value]) =>
    value === null || proofs.has(key) || key.endsWith('Ms') ? [] : [`${key} ${factOf(value)}`],
  )
  return [...(agent === undefined ? [] : [agent]), ...facts].join(' · ')
}

/** For machines: on the log, and too long for a glance. */
const proofs: ReadonlySet<string> = new Set([
  'approval',
  'credential',
  'publicKey',
  'aaguid',
  'evidence',
  'statement',
  'digest',
  'policyHash',
  'challenge',
  'nonce',
  'bytesSha256',
  'checksums',
  'retainUntilMs',
])

function factOf(value: Json): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.replaceAll(/\b[0-9a-f]{24,}\b/g, (hash) => `${hash.slice(0, 10)}…`)
}

function cut(text: string): string {
  const rest = text.length - detailCharacters
  return rest <= 40 ? text : `${text.slice(0, detailCharacters).toWellFormed()} … and ${rest} more characters, on the log`
}

/** Words for each kind of event; a new one is a type error here. */
function titleOf(type: EventType): { readonly sign: string; readonly what: string; readonly tone: LiveLine['tone'] } {
  switch (type) {
    case 'gate.started':
      return { sign: '●', what: 'gate started', tone: 'calm' }
    case 'gate.stopped':
      return { sign: '○', what: 'gate stopped', tone: 'warn' }
    case 'configuration.applied':
      return { sign: '✎', what: 'configuration', tone: 'calm' }
    case 'person.enrolled':
      return { sign: '+', what: 'person enrolled', tone: 'warn' }
    case 'handle.issued':
      return { sign: '+', what: 'handle issued', tone: 'calm' }
    case 'handle.revoked':
      return { sign: '–', what: 'handle revoked', tone: 'calm' }
    case 'door.refused':
      return { sign: '✕', what: 'turned away', tone: 'warn' }
    case 'session.opened':
      return { sign: '→', what: 'session opened', tone: 'calm' }
    case 'session.closed':
      return { sign: '←', what: 'session closed', tone: 'calm' }
    case 'statement':
      return { sign: '·', what: 'statement', tone: 'calm' }
    case 'reads':
      return { sign: '·', what: 'reads', tone: 'calm' }
    case 'decision':
      return { sign: '◇', what: 'decision', tone: 'calm' }
    case 'request.opened':
      return { sign: '◷', what: 'request opened', tone: 'warn' }
    case 'request.approved':
      return { sign: '✓', what: 'approved', tone: 'warn' }
    case 'request.rejected':
      return { sign: '✕', what: 'rejected', tone: 'warn' }
    case 'request.cancelled':
      return { sign: '–', what: 'cancelled', tone: 'calm' }
    case 'request.expired':
      return { sign: '–', what: 'expired', tone: 'calm' }
    case 'verdict':
      return { sign: '✓', what: 'verdict', tone: 'calm' }
    case 'verdict.refused':
      return { sign: '✕', what: 'verdict refused', tone: 'danger' }
    case 'grant.made':
      return { sign: '+', what: 'grant made', tone: 'calm' }
    case 'grant.returned':
      return { sign: '←', what: 'grant returned', tone: 'calm' }
    case 'grant.void':
      return { sign: '–', what: 'grant void', tone: 'warn' }
    case 'snapshot.sealed':
      return { sign: '▣', what: 'copy sealed', tone: 'calm' }
    case 'snapshot.failed':
      return { sign: '✕', what: 'copy failed', tone: 'danger' }
    case 'intent':
      return { sign: '▶', what: 'intent', tone: 'calm' }
    case 'outcome':
      return { sign: '■', what: 'outcome', tone: 'calm' }
    case 'undo':
      return { sign: '↶', what: 'undo', tone: 'warn' }
    case 'kill':
      return { sign: '■', what: 'KILL', tone: 'danger' }
    case 'release':
      return { sign: '▶', what: 'release', tone: 'warn' }
    case 'alarm':
      return { sign: '⚠', what: 'ALARM', tone: 'danger' }
    case 'checkpoint.witnessed':
      return { sign: '▣', what: 'witnessed', tone: 'calm' }
    case 'drill':
      return { sign: '◇', what: 'drill', tone: 'calm' }
  }
}
