import type pg from 'pg'
import { setTimeout as pause } from 'node:timers/promises'
import { SallyportError, type StandingGrant } from '@sallyport/core'
import { z } from 'zod'
import type { Kill } from '../kills.ts'
import { readStanding } from '../standing.ts'
import type { Ear, Hearer } from '../store.ts'
import type { Connection, Run } from './connection.ts'
import type { DatabaseClock } from './database-clock.ts'
import type { Lease } from './lease.ts'
import { readHint, readKills } from './kill-row.ts'

export interface LineSettings {
  readonly gate: string
  readonly life: string
  readonly leaseMs: number
  readonly renewEveryMs: number
  readonly lease: Lease
  readonly clock: DatabaseClock
  /** A request that somebody at another gate answered. */
  readonly onVerdict: (request: string) => void
  /** The store answers again, before anything goes on. */
  readonly onReturn: () => Promise<void>
  readonly report: (problem: string) => void
}

const reconnectMs = 100
/** A machine under load answers late, and a line given up too soon is a lease lost. */
const answerMsMin = 1_500
const renewalsPerView = 10
const aheadMark = 'ahead '
/** A line that does not answer for so many renewals is given up for a new one. */
const unansweredRenewals = 2
const confirmedEveryMs = 5
/** Longer than a lease by what two machines' clocks may differ in their rate, and by a turn of a loaded loop. */
const leaseSlack = 1.05

const renewalShape = z.object({ epoch: z.number(), databaseMs: z.number() })
const viewShape = z.object({ epoch: z.number(), kills: z.string(), revoked: z.array(z.string()), standing: z.array(z.string()) })

const renewSql = `
  WITH told AS MATERIALIZED (SELECT epoch FROM switch FOR SHARE)
  UPDATE gates SET beat = beat + 1, heard = greatest(heard, $3), lost = false, seen = clock_timestamp() FROM told
  WHERE id = $1 AND life = $2
  RETURNING told.epoch, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "databaseMs"`
const viewSql = `
  SELECT (SELECT epoch FROM switch) AS epoch,
    (SELECT coalesce(json_agg(json_build_object('id', id, 'kind', kind, 'name', name, 'reason', reason, 'by', by, 'atMs', at_ms) ORDER BY id), '[]')::text
     FROM kills WHERE released_at_ms IS NULL) AS kills,
    ARRAY(SELECT id FROM handles WHERE id = ANY($1) AND (revoked_at_ms IS NOT NULL OR expires_at_ms <= $2)) AS revoked,
    ARRAY(SELECT body FROM standing WHERE NOT ended AND expires_at_ms > $2 ORDER BY seq) AS standing`

/**
 * This gate's ear: it renews the lease, listens, and carries out what changed. The lease begins when the store was asked, and a renewal counts only
 * once everything that was pulled before it is stopped here.
 */
export class SwitchLine implements Ear {
  readonly #connection: Connection
  readonly #settings: LineSettings
  readonly #stopped = new AbortController()
  #hearer: Hearer | null = null
  #client: pg.Client | null = null
  #kills: readonly Kill[] = []
  #standing: readonly StandingGrant[] = []
  #epoch = 0
  /** Of what was pulled or released here: a view from before that shows too little, or too much. */
  #ownEpoch = 0
  /** Something was called out: the store says whether it holds. */
  #isInDoubt = false
  #renewals = 0
  #frozen = true
  #work: Promise<void> = Promise.resolve()
  #running: Promise<void> = Promise.resolve()
  #ending: NodeJS.Timeout | undefined

  constructor(connection: Connection, settings: LineSettings) {
    this.#connection = connection
    this.#settings = settings
  }

  /** What stood for a time when this was last heard. */
  standing(): readonly StandingGrant[] {
    return this.#standing
  }

  inForce(): readonly Kill[] {
    return this.#kills
  }

  /** In the store now, by this gate's own hand. */
  pulled(kill: Kill, epoch: number): void {
    this.#moved(epoch, [...this.#kills, kill])
  }

  released(ids: readonly number[], epoch: number): void {
    this.#moved(
      epoch,
      this.#kills.filter(({ id }) => !ids.includes(id)),
    )
  }

  #moved(epoch: number, kills: readonly Kill[]): void {
    this.#ownEpoch = Math.max(this.#ownEpoch, epoch)
    this.#kills = kills
    void this.look().catch(() => undefined)
  }

  /**
   * Ready: what is in force is known, and this gate stands among those that a kill waits for. An earlier life of this gate that ended without a word
   * may still write for as long as its lease: what it consumed is not to be looked at before.
   */
  async open(): Promise<void> {
    const { gate, life, leaseMs } = this.#settings
    const waitMs = await this.#connection.transact(async (run) => {
      const { rows } = await run(
        `SELECT lost, greatest(0, $2 - extract(epoch FROM clock_timestamp() - seen) * 1000)::float8 AS "leftMs" FROM gates WHERE id = $1 FOR UPDATE`,
        [gate, leaseMs * leaseSlack],
      )
      await run('INSERT INTO gates (id, life) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET life = excluded.life', [gate, life])
      return rows[0] === undefined || rows[0]['lost'] === true ? 0 : Math.min(leaseMs * leaseSlack, Number(rows[0]['leftMs']))
    })
    await pause(waitMs)
    await this.#connect()
  }

  /** From now on what is heard is carried out. */
  attend(hearer: Hearer): void {
    this.#hearer = hearer
    hearer.follow()
    this.#frozen = this.#settings.lease.isOver()
    if (this.#frozen) this.#freeze('it has no lease')
    this.#running = this.#keepUp()
  }

  /** Called before anything is written upstream: a loop that was stuck for longer than its lease finds that out here, before its timers do. */
  hear(): void {
    if (!this.#frozen && this.#settings.lease.isOver()) this.#freeze('it could not reach the store for as long as its lease')
  }

  #freeze(why: string): void {
    this.#frozen = true
    this.#hearer?.freeze(`this gate cannot hear the kill switch: ${why}`)
    this.#settings.report(`This gate stopped everything: ${why}. It goes on by itself when the store answers.`)
  }

  async #keepUp(): Promise<void> {
    const { signal } = this.#stopped
    const { renewEveryMs } = this.#settings
    while (!signal.aborted) {
      await pause(this.#client === null ? reconnectMs : renewEveryMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      await this.look().catch(() => undefined)
    }
  }

  /** Asks the store now, carries out what it says, and tells it so. */
  look(): Promise<void> {
    this.#work = this.#work.catch(() => undefined).then(() => this.#lookOnce())
    return this.#work
  }

  async #lookOnce(): Promise<void> {
    if (this.#stopped.signal.aborted) return
    try {
      if (this.#client === null) await this.#connect()
      else await this.#renew(this.#client)
    } catch (error) {
      this.#hangUp()
      throw error
    }
  }

  async #connect(): Promise<void> {
    const client = await this.#connection.openLine(Math.max(answerMsMin, this.#settings.renewEveryMs * unansweredRenewals))
    client.on('notification', ({ payload }) => this.take(payload ?? ''))
    client.on('end', () => {
      if (this.#client === client) this.#client = null
    })
    try {
      await client.query('LISTEN sallyport')
      await this.#settings.onReturn()
      await this.#renew(client)
      this.#client = client
    } catch (error) {
      void client.end().catch(() => undefined)
      throw error
    }
  }

  /** What was heard here, or by an ear that was quicker: the same twice changes nothing. */
  take(payload: string): void {
    if (payload.startsWith(aheadMark)) return this.#stopAhead(payload.slice(aheadMark.length))
    const [, what, value = '', rest = ''] = /^(request|switch) (\S+) ?(.*)$/s.exec(payload) ?? []
    if (what === 'request') this.#settings.onVerdict(value)
    if (what !== 'switch' || Number(value) <= this.#epoch) return
    this.#stopAhead(rest)
    void this.look().catch(() => undefined)
  }

  #stopAhead(text: string): void {
    const hint = readHint(text)
    if (hint === null) return
    this.#isInDoubt = true
    this.#hearer?.stopAhead(hint.kind, hint.name)
  }

  async #renew(client: pg.Client): Promise<void> {
    const { lease, clock, gate, life } = this.#settings
    const run: Run = async (sql, values = []) => {
      const { rows, rowCount } = await client.query<Record<string, unknown>>(sql, [...values])
      return { rows, count: rowCount ?? 0 }
    }
    for (;;) {
      const asked = lease.now()
      const { rows } = await run(renewSql, [gate, life, this.#epoch])
      if (rows[0] === undefined) throw this.#replaced()
      const { epoch, databaseMs } = renewalShape.parse(rows[0])
      this.#renewals += 1
      // What ends by itself moves no epoch: a handle that was rotated at another gate.
      if (this.#renewals % renewalsPerView === 0) this.#isInDoubt = true
      clock.set(databaseMs, asked, lease.now())
      if (epoch === this.#epoch && !this.#isInDoubt) return this.#renewed(asked)
      await this.#takeView(run)
    }
  }

  async #takeView(run: Run): Promise<void> {
    const { rows } = await run(viewSql, [this.#hearer?.openHandles() ?? [], this.#settings.clock.nowMs()])
    const { epoch, kills, revoked, standing } = viewShape.parse(rows[0])
    if (epoch < this.#ownEpoch) return
    this.#isInDoubt = false
    this.#kills = readKills(JSON.parse(kills))
    const before = this.#standing
    this.#standing = standing.map((body) => readStanding({ body }))
    this.#hearer?.follow()
    this.#endStanding(before)
    if (revoked.length > 0) this.#hearer?.endByHandles(revoked)
    // Only now: what is heard is what has been stopped.
    this.#epoch = epoch
  }

  #endStanding(before: readonly StandingGrant[]): void {
    const left = new Set(this.#standing.map(({ request }) => request))
    for (const { request, agent, upstream } of before) if (!left.has(request)) this.#hearer?.endOn(agent, upstream)
  }

  async #renewed(asked: ReturnType<Lease['now']>): Promise<void> {
    const { lease, leaseMs } = this.#settings
    if (this.#hearer !== null && this.#frozen) {
      await this.#hearer.writeAgain()
      lease.renew(asked)
      if (lease.isOver()) return
      this.#frozen = false
      this.#hearer.thaw()
    } else lease.renew(asked)
    clearTimeout(this.#ending)
    this.#ending = setTimeout(() => this.hear(), leaseMs + 1).unref()
  }

  #replaced(): SallyportError {
    this.#settings.lease.end()
    this.hear()
    return new SallyportError(
      'store_unavailable',
      'Another process runs as this gate: it has a copy of its state folder.',
      'This gate runs nothing more.',
      'Give each gate a state folder of its own, then start this one again.',
    )
  }

  #hangUp(): void {
    const client = this.#client
    this.#client = null
    void client?.end().catch(() => undefined)
  }

  /**
   * Resolves when each other gate has heard what this epoch stands for, or has no lease any more: none renews without hearing it first, so after the
   * length of a lease nobody is left that goes on without it. That is measured here, on the clock that nobody can set.
   */
  async everywhere(epoch: number): Promise<void> {
    const { run } = this.#connection
    const { gate, leaseMs, lease } = this.#settings
    const from = lease.now().monotonicMs
    const deaf = 'FROM gates, switch WHERE NOT gates.lost AND gates.heard < $2 AND gates.id <> $1'
    for (;;) {
      const { rows } = await run(`SELECT count(*) AS n ${deaf}`, [gate, epoch])
      if (Number(rows[0]?.['n'] ?? 1) === 0) return
      if (lease.now().monotonicMs - from >= leaseMs * leaseSlack) break
      await pause(confirmedEveryMs)
    }
    // The next kill need not wait for who is gone. One that is back has renewed, and has heard this one.
    await run('UPDATE gates SET lost = true WHERE id <> $1 AND heard < $2', [gate, epoch])
  }

  /** Nothing is written upstream any more: no kill waits for this gate, and its next start for nobody. */
  async close(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#ending)
    await this.#running
    await this.#work.catch(() => undefined)
    this.#hangUp()
    const { gate, life } = this.#settings
    await this.#connection.run('UPDATE gates SET lost = true WHERE id = $1 AND life = $2', [gate, life]).catch(() => undefined)
  }
}
