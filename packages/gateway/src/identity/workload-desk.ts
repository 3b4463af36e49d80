import { readFile, stat } from 'node:fs/promises'
import { SallyportError, type Clock, type Handle, type Json, type KillSwitch, type Workloads } from '@sallyport/core'
import { fetchDocument } from './document.ts'
import { IssuerKeys } from './issuer-keys.ts'
import { proveToken, readClaimed, TokenRefused, type ProvenToken, type Workload } from './workload-token.ts'

/** A workload of the configuration, and where its issuer's keys are. */
export interface ConfiguredWorkload extends Workload {
  /** Path of a file with them; null: by discovery. */
  readonly keysFile: string | null
  /** PEM of the authorities that may vouch for the issuer's host. */
  readonly authorities: string | null
}

export interface WorkloadPorts {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly killSwitch: Pick<KillSwitch, 'stopped'>
  /** By agent. */
  readonly workloads: ReadonlyMap<string, { readonly owner: string; readonly of: readonly ConfiguredWorkload[] }>
  /** Takes note that a token was used, durably. */
  readonly use: (
    names: readonly string[],
    untilMs: number,
    nowMs: number,
  ) => 'first' | 'used' | 'full' | Promise<'first' | 'used' | 'full'>
  /** @throws SallyportError */
  readonly issue: (
    agent: string,
    ttlMs: number | null,
    by: string,
    basis: { readonly untilMs: number; readonly workload: { readonly [key: string]: Json } },
  ) => Promise<{ readonly handle: Handle; readonly secret: string }>
  readonly revoke: (id: string) => Promise<unknown>
  /** For tests. */
  readonly fetch?: typeof fetchDocument
}

const fetchTimeoutMs = 5_000
const keyFileBytesMax = 256 * 1024
/** Handles that one agent's workloads get in a minute: more is a token maker gone wild. */
const handlesInAMinute = 30
const minuteMs = 60_000

/** Gives handles for other issuers' tokens (RFC 8693). Nothing of ours is held by who asks: the token is the proof, and counts once. */
export function openWorkloads(ports: WorkloadPorts): Workloads {
  const issuers = new Map<string, IssuerKeys>()
  for (const { of } of ports.workloads.values()) for (const one of of) issuers.set(placeOf(one), openKeys(one, ports))
  const given = new Map<string, number[]>()
  return {
    exchange: async (agent, token, ttlMs) => {
      try {
        const known = ports.workloads.get(agent)
        const { issuer, keyId } = await readClaimed(token)
        const candidates = known?.of.filter((one) => one.issuer === issuer) ?? []
        if (known === undefined || candidates.length === 0) throw new TokenRefused('no workload of this agent has its issuer')
        const proven = await prove(ports, issuers, candidates, { token, keyId })
        return { made: await give(ports, given, { agent, owner: known.owner, ttlMs }, proven) }
      } catch (error) {
        if (error instanceof TokenRefused) return { refused: error.message }
        throw error
      }
    },
  }
}

function placeOf({ issuer, keysFile, authorities }: ConfiguredWorkload): string {
  return JSON.stringify([issuer, keysFile, authorities])
}

function openKeys(
  { issuer, keysFile, authorities }: ConfiguredWorkload,
  { clock, fetch = fetchDocument }: WorkloadPorts,
): IssuerKeys {
  return new IssuerKeys(
    { issuer, file: keysFile },
    { nowMs: () => clock.nowMs(), fetch: (url) => fetch(url, { authorities, timeoutMs: fetchTimeoutMs }), read: readKeyFile },
  )
}

async function readKeyFile(path: string): Promise<unknown> {
  if ((await stat(path)).size > keyFileBytesMax) throw new Error('the file of keys is too large')
  const value: unknown = JSON.parse(await readFile(path, 'utf8'))
  return value
}

/** The first workload that the token fits. @throws TokenRefused that says why it does not fit the last one */
async function prove(
  { clock }: WorkloadPorts,
  issuers: ReadonlyMap<string, IssuerKeys>,
  candidates: readonly ConfiguredWorkload[],
  { token, keyId }: { readonly token: string; readonly keyId: string | undefined },
): Promise<ProvenToken> {
  let refused = new TokenRefused('it fits no workload')
  for (const candidate of candidates) {
    const key = await issuers
      .get(placeOf(candidate))
      ?.find(keyId)
      .catch(() => undefined)
    if (key === undefined) throw unavailable()
    try {
      if (key === null) throw new TokenRefused('its issuer has no such key')
      return await proveToken(token, key, candidate, clock.nowMs())
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      refused = error
    }
  }
  throw refused
}

interface Asked {
  readonly agent: string
  readonly owner: string
  readonly ttlMs: number | null
}

async function give(
  { clock, killSwitch, use, issue, revoke }: WorkloadPorts,
  given: Map<string, number[]>,
  { agent, owner, ttlMs }: Asked,
  { issuer, subject, expiresAtMs, matched, names }: ProvenToken,
): Promise<{ readonly handle: Handle; readonly secret: string }> {
  const nowMs = clock.nowMs()
  // The skew lets a token in whose issuer's clock is behind; no handle outlives it by our own clock.
  if (expiresAtMs <= nowMs) throw new TokenRefused('it has run out')
  const lately = (given.get(agent) ?? []).filter((atMs) => atMs > nowMs - minuteMs && atMs <= nowMs)
  if (lately.length >= handlesInAMinute)
    throw notMade('limit_exceeded', `Agent "${agent}" got ${handlesInAMinute} handles for tokens in a minute.`, 'Wait a minute.')
  checkStopped(killSwitch, agent, owner)
  const usedUntilMs = expiresAtMs + 2 * minuteMs
  const using = await use(names, usedUntilMs, nowMs)
  if (using === 'used') throw new TokenRefused('it was used before')
  if (using === 'full') throw notMade('limit_exceeded', 'Too many tokens were used lately.', 'Wait until some have run out.')
  given.set(agent, [...(given.get(agent) ?? []).filter((atMs) => atMs > nowMs - minuteMs), nowMs])
  const workload = { issuer, subject, matched, token: names[0] ?? '' }
  const made = await issue(agent, ttlMs, `workload ${subject}`, { untilMs: expiresAtMs, workload })
  try {
    // A kill that came while it became durable found no handle to end.
    checkStopped(killSwitch, agent, owner)
  } catch (error) {
    await revoke(made.handle.id)
    throw error
  }
  return made
}

/** @throws SallyportError while a kill is in force */
function checkStopped(killSwitch: WorkloadPorts['killSwitch'], agent: string, owner: string): void {
  const why = killSwitch.stopped(agent, owner, '', '')
  if (why !== null) throw notMade('killed', why, 'Wait until a person releases it.')
}

function unavailable(): SallyportError {
  return notMade(
    'upstream_unavailable',
    'The issuer’s keys could not be had, so no token of its can be checked.',
    'Try again in half a minute.',
  )
}

function notMade(code: 'limit_exceeded' | 'killed' | 'upstream_unavailable', what: string, next: string): SallyportError {
  return new SallyportError(code, what, 'No handle was made.', next)
}
