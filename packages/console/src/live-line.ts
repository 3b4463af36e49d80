import { type Event, type EventType, type Json, visibleLine } from '@sallyport/core'
import { isTroubling, sentenceOf } from './live-sentence.ts'
import type { ShownLine } from './shapes/now.ts'

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
  const { sign, what, tone } = titles[event.type]
  return {
    index,
    time: new Date(event.atMs).toISOString().slice(11, 19),
    what: `${sign} ${what}`,
    tone: tone === 'calm' && isTroubling(event) ? 'warn' : tone,
    detail: visibleLine(cut(sentenceOf(event) ?? listFacts(event))),
  }
}

/** The same for the app, which shows time in its own way and lists whose event it is. */
export function shownLineOf(index: number, event: Event): ShownLine {
  const { what, tone, detail } = liveLineOf(index, event)
  return {
    index,
    atMs: event.atMs,
    type: event.type,
    what,
    tone,
    detail,
    agent: event.agent ?? null,
    session: event.session ?? null,
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

type Title = { readonly sign: string; readonly what: string; readonly tone: LiveLine['tone'] }

/** Words for each kind of event; a new one without them is a type error here. */
const titles: Readonly<Record<EventType, Title>> = {
  'gate.started': { sign: '●', what: 'gate started', tone: 'calm' },
  'gate.stopped': { sign: '○', what: 'gate stopped', tone: 'warn' },
  'configuration.applied': { sign: '✎', what: 'configuration', tone: 'calm' },
  'configuration.proposed': { sign: '◷', what: 'wider configuration', tone: 'warn' },
  'configuration.accepted': { sign: '✓', what: 'configuration', tone: 'warn' },
  'configuration.withdrawn': { sign: '–', what: 'configuration', tone: 'calm' },
  'person.enrolled': { sign: '+', what: 'person enrolled', tone: 'warn' },
  'person.removed': { sign: '–', what: 'person removed', tone: 'warn' },
  'removal.confirmed': { sign: '–', what: 'removal confirmed', tone: 'warn' },
  'person.restored': { sign: '+', what: 'removal taken back', tone: 'danger' },
  'person.connected': { sign: '+', what: 'account connected', tone: 'warn' },
  'passkey.added': { sign: '+', what: 'passkey added', tone: 'warn' },
  'passkey.removed': { sign: '–', what: 'passkey removed', tone: 'warn' },
  'code.added': { sign: '+', what: 'app of codes added', tone: 'warn' },
  'code.removed': { sign: '–', what: 'app of codes removed', tone: 'warn' },
  'handle.issued': { sign: '+', what: 'handle issued', tone: 'calm' },
  'handle.narrowed': { sign: '+', what: 'handle narrowed', tone: 'calm' },
  'handle.rotated': { sign: '↻', what: 'handle rotated', tone: 'calm' },
  'handle.revoked': { sign: '–', what: 'handle revoked', tone: 'calm' },
  'door.refused': { sign: '✕', what: 'turned away', tone: 'warn' },
  'session.opened': { sign: '→', what: 'session opened', tone: 'calm' },
  'session.closed': { sign: '←', what: 'session closed', tone: 'calm' },
  statement: { sign: '·', what: 'statement', tone: 'calm' },
  reads: { sign: '·', what: 'reads', tone: 'calm' },
  decision: { sign: '◇', what: 'decision', tone: 'calm' },
  'request.opened': { sign: '◷', what: 'request opened', tone: 'warn' },
  'request.approved': { sign: '✓', what: 'approved', tone: 'warn' },
  'request.rejected': { sign: '✕', what: 'rejected', tone: 'warn' },
  'request.cancelled': { sign: '–', what: 'cancelled', tone: 'calm' },
  'request.expired': { sign: '–', what: 'expired', tone: 'calm' },
  'request.rung': { sign: '◷', what: 'rung', tone: 'calm' },
  'request.held': { sign: '◷', what: 'held back', tone: 'warn' },
  verdict: { sign: '✓', what: 'verdict', tone: 'calm' },
  'verdict.refused': { sign: '✕', what: 'verdict refused', tone: 'danger' },
  'grant.made': { sign: '+', what: 'grant made', tone: 'calm' },
  'glass.reviewed': { sign: '✓', what: 'reviewed', tone: 'calm' },
  'grant.standing': { sign: '+', what: 'scope for a time', tone: 'warn' },
  'grant.ended': { sign: '–', what: 'scope ended', tone: 'calm' },
  'grant.returned': { sign: '←', what: 'grant returned', tone: 'calm' },
  'grant.void': { sign: '–', what: 'grant void', tone: 'warn' },
  'snapshot.sealed': { sign: '▣', what: 'copy sealed', tone: 'calm' },
  'snapshot.expired': { sign: '▢', what: 'copy let go', tone: 'calm' },
  'protection.began': { sign: '▣', what: 'WAL is received', tone: 'calm' },
  'protection.broken': { sign: '▢', what: 'stream of WAL ended', tone: 'danger' },
  restore_point: { sign: '▣', what: 'restore point', tone: 'calm' },
  'snapshot.failed': { sign: '✕', what: 'copy failed', tone: 'danger' },
  intent: { sign: '▶', what: 'intent', tone: 'calm' },
  outcome: { sign: '■', what: 'outcome', tone: 'calm' },
  undo: { sign: '↶', what: 'undo', tone: 'warn' },
  'quarantine.purge': { sign: '✕', what: 'quarantine over', tone: 'warn' },
  'quarantine.purged': { sign: '✕', what: 'dropped for good', tone: 'warn' },
  'quarantine.kept': { sign: '⚠', what: 'not dropped', tone: 'danger' },
  'delivery.failed': { sign: '⚠', what: 'not told', tone: 'danger' },
  'delivery.recovered': { sign: '✓', what: 'told again', tone: 'calm' },
  kill: { sign: '■', what: 'KILL', tone: 'danger' },
  release: { sign: '▶', what: 'release', tone: 'warn' },
  alarm: { sign: '⚠', what: 'ALARM', tone: 'danger' },
  'log.key_rotated': { sign: '✎', what: 'key of the log replaced', tone: 'warn' },
  'log.archived': { sign: '▤', what: 'old entries sealed into the vault', tone: 'calm' },
  'log.dropped': { sign: '▤', what: 'old entries dropped here; the vault has them', tone: 'warn' },
  'checkpoint.witnessed': { sign: '▣', what: 'witnessed', tone: 'calm' },
  drill: { sign: '◇', what: 'drill', tone: 'calm' },
}
