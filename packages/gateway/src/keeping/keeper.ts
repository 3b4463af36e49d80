import {
  digestJson,
  SallyportError,
  type Clock,
  type DrillCheck,
  type DrillRecord,
  type Keeping,
  type KeepingJob,
  type KeepingOrder,
  type KeepingResult,
  type Log,
  type Producer,
  type Progress,
  type Randomness,
  type RecoveryTarget,
  type Snapshot,
  type SnapshotReader,
  type Vault,
} from '@sallyport/core'
import { drillCopy, drillJson, failedDrill } from './drill.ts'
import { KeptRecords, meetsDemand, type Memory } from './record.ts'

/** One thing that is kept whole, as configuration says. */
export interface Kept {
  readonly name: string
  readonly producer: Producer
  readonly copyEveryMs: number | null
  readonly drillEveryMs: number | null
  readonly checks: readonly DrillCheck[]
}

/** That nothing of an upstream may be destroyed unless these were restored lately. None: what can't be kept can't be drilled, so nothing may. */
export interface Demand {
  readonly withinMs: number
  readonly names: readonly string[]
}

export interface KeeperPorts {
  readonly clock: Clock
  readonly random: Randomness
  readonly log: Log
  readonly vault: Vault
  readonly memory: Memory
  readonly retainMs: number
  /** Where things taken out of a copy are laid. */
  readonly folder: string
  readonly kept: readonly Kept[]
  readonly demands: ReadonlyMap<string, Demand>
  readonly report: (problem: string) => void
}

/** How often the gate looks for what is due. */
const lookEveryMs = 30_000
/** After a failure: sooner than the next time, but not at once. */
const againAfterMs = 3_600_000
/** Jobs that are still known; older ones are on the log. */
const jobsMax = 64

interface Task {
  job: KeepingJob
  readonly by: string
}

/** Keeps whole things: copies and drills them when it is time and when asked, one at a time, and knows how each stands. */
export class Keeper implements Keeping {
  readonly #ports: KeeperPorts
  readonly #records: KeptRecords
  readonly #tasks = new Map<string, Task>()
  readonly #stopped = new AbortController()
  #turn: Promise<void> = Promise.resolve()
  #watching: Promise<void> = Promise.resolve()

  constructor(ports: KeeperPorts) {
    this.#ports = ports
    this.#records = new KeptRecords(
      ports.memory,
      ports.kept.map(({ name }) => name),
    )
  }

  /** Begins to look for what is due. */
  start(): void {
    const isDueEver = this.#ports.kept.some(({ copyEveryMs, drillEveryMs }) => copyEveryMs !== null || drillEveryMs !== null)
    if (isDueEver) this.#watching = this.#watch()
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#watching
    await this.#turn
  }

  /** RestorePoints of govern: never throws. */
  async isDrilled(upstream: string): Promise<boolean> {
    const demand = this.#ports.demands.get(upstream)
    if (demand === undefined) return true
    const nowMs = this.#ports.clock.nowMs()
    return demand.names.length > 0 && demand.names.every((name) => meetsDemand(this.#records.get(name), demand.withinMs, nowMs))
  }

  async targets(): Promise<readonly RecoveryTarget[]> {
    const snapshots = await this.#ports.vault.list()
    return this.#ports.kept.map((kept) => this.#targetOf(kept, findNewest(snapshots, kept)))
  }

  #targetOf({ name, producer, copyEveryMs, drillEveryMs }: Kept, newest: Snapshot | null): RecoveryTarget {
    const nowMs = this.#ports.clock.nowMs()
    const { lastDrill, lastPassed } = this.#records.get(name)
    const demands = [...this.#ports.demands.values()].filter(({ names }) => names.includes(name))
    const demandMs = demands.length === 0 ? null : Math.min(...demands.map(({ withinMs }) => withinMs))
    return {
      name,
      kind: producer.kind,
      newestCopy:
        newest === null ? null : { snapshot: newest.id, madeAtMs: newest.madeAtMs, rows: newest.rows, bytes: newest.bytes },
      wouldLoseMs: newest === null ? null : Math.max(0, nowMs - newest.madeAtMs),
      restoreTookMs: lastPassed?.restoreMs ?? null,
      lastDrill,
      copyEveryMs,
      drillEveryMs,
      demandMs,
      drilled: demandMs === null || meetsDemand(this.#records.get(name), demandMs, nowMs),
    }
  }

  begin(order: KeepingOrder, by: string): KeepingJob {
    const kept = this.#find(order.name)
    const id = this.#ports.random.hex(16)
    const startedAtMs = this.#ports.clock.nowMs()
    const job: KeepingJob = {
      id,
      order,
      state: 'waiting',
      startedAtMs,
      endedAtMs: null,
      step: '',
      done: 0,
      total: 0,
      result: null,
      error: null,
    }
    const task: Task = { job, by }
    this.#tasks.set(id, task)
    for (const [old, { job: past }] of this.#tasks)
      if (this.#tasks.size > jobsMax && past.endedAtMs !== null) this.#tasks.delete(old)
    this.#turn = this.#turn.then(() => this.#run(kept, task))
    return job
  }

  job(id: string): KeepingJob | null {
    return this.#tasks.get(id)?.job ?? null
  }

  async #run(kept: Kept, task: Task): Promise<void> {
    const { signal } = this.#stopped
    const change = (changes: Partial<KeepingJob>): void => void (task.job = { ...task.job, ...changes })
    const report = (progress: Progress): void => change(progress)
    change({ state: 'running' })
    try {
      signal.throwIfAborted()
      const result = await this.#work(kept, task, report)
      change({ result })
      if (result.what === 'drill') requirePassed(kept.name, result.drill)
      change({ state: 'done', endedAtMs: this.#ports.clock.nowMs() })
    } catch (error) {
      const failure = toSallyportError(error)
      const { code, message, notDone, next } = failure
      change({ state: 'failed', endedAtMs: this.#ports.clock.nowMs(), error: { code, message, notDone, next } })
      if (!signal.aborted) this.#ports.report(`${task.job.order.what} of ${kept.name}: ${message}`)
    }
  }

  async #work(kept: Kept, { job: { order }, by }: Task, report: (progress: Progress) => void): Promise<KeepingResult> {
    switch (order.what) {
      case 'copy':
        return this.#copy(kept, by, report)
      case 'drill':
        return { what: 'drill', drill: await this.#drill(kept, by, report) }
      case 'extract':
        return this.#extract(kept, order)
      case 'restore':
        return this.#restore(kept, order, by, report)
    }
  }

  async #copy({ name, producer }: Kept, by: string, report: (progress: Progress) => void): Promise<KeepingResult> {
    const { clock, log, vault, retainMs } = this.#ports
    this.#records.change(name, { copyTriedAtMs: clock.nowMs(), copyFailed: true })
    const digest = digestJson({ v: 1, purpose: 'sallyport keeping', name, kind: producer.kind })
    try {
      const upstreamIdentity = await producer.identity()
      const about = { upstream: name, upstreamIdentity, digest, retainMs }
      const snapshot = await vault.seal(about, (seal) => producer.copy(seal, { report, signal: this.#stopped.signal }))
      const { id, kind, rows, bytes, checksums, retainUntilMs } = snapshot
      const things = Object.keys(checksums).length
      // A database may have thousands of tables: their checksums are in the signed manifest, and one over them all is here.
      const sums = digestJson({ ...checksums })
      const data = { snapshot: id, digest, upstream: name, kind, rows, bytes, things, checksumsSha256: sums, retainUntilMs, by }
      await log.append({ type: 'snapshot.sealed', atMs: clock.nowMs(), data })
      this.#records.change(name, { copyFailed: false })
      return { what: 'copy', snapshot: id, rows, bytes, things }
    } catch (error) {
      const { code, message } = toSallyportError(error)
      const data = { digest, code, upstream: name, kind: producer.kind, why: message.slice(0, 500), by }
      await log.append({ type: 'snapshot.failed', atMs: clock.nowMs(), data })
      throw error
    }
  }

  /** Whatever comes of it is on the log; what was not proven failed. */
  async #drill(kept: Kept, by: string, report: (progress: Progress) => void): Promise<DrillRecord> {
    const { clock, log } = this.#ports
    const { name } = kept
    this.#records.change(name, { drillTriedAtMs: clock.nowMs() })
    const drill = await this.#tryDrill(kept, report)
    await log.append({ type: 'drill', atMs: clock.nowMs(), data: { drill: 'restore', upstream: name, by, ...drillJson(drill) } })
    // Only what is on the log counts.
    this.#records.change(name, { lastDrill: drill, ...(drill.passed ? { lastPassed: drill } : {}) })
    return drill
  }

  async #tryDrill(kept: Kept, report: (progress: Progress) => void): Promise<DrillRecord> {
    const { clock, vault } = this.#ports
    let snapshot: Snapshot | null = null
    const startedMs = clock.nowMs()
    try {
      snapshot = findNewest(await vault.list(), kept)
      return await drillCopy({ vault, clock, report, signal: this.#stopped.signal }, kept, snapshot)
    } catch (error) {
      return failedDrill(snapshot, startedMs, clock.nowMs(), toSallyportError(error).message)
    }
  }

  async #extract(kept: Kept, { snapshot, thing }: KeepingOrder): Promise<KeepingResult> {
    const { folder, log, clock } = this.#ports
    const { producer, name } = kept
    if (producer.extract === undefined || thing === null) {
      throw new SallyportError(
        'not_supported',
        `Nothing single is taken out of a copy of ${name}.`,
        'Nothing was written.',
        'Take the parts out: sallyport vault restore',
      )
    }
    const { id, opened } = await this.#openCopy(kept, snapshot)
    const extracted = await producer.extract(opened, thing, folder, this.#stopped.signal)
    const data = { snapshot: id, upstream: name, thing, rows: extracted.rows, sha256: extracted.sha256, extracted: true }
    await log.append({ type: 'undo', atMs: clock.nowMs(), data })
    return { what: 'extract', ...extracted }
  }

  /** Its own newest copy, or one that is named. */
  async #openCopy({ name, producer }: Kept, snapshot: string | null): Promise<{ id: string; opened: SnapshotReader }> {
    const { vault } = this.#ports
    const id = snapshot ?? findNewest(await vault.list(), { name, producer })?.id ?? null
    if (id === null) throw noCopy(name)
    const opened = await vault.open(id)
    if (opened.snapshot.upstream !== name || opened.snapshot.kind !== producer.kind) throw noCopy(name)
    return { id, opened }
  }

  /** Puts back what is missing, and overwrites nothing: so nobody has to be asked. */
  async #restore(
    kept: Kept,
    { snapshot, beside = null }: KeepingOrder,
    by: string,
    report: (progress: Progress) => void,
  ): Promise<KeepingResult> {
    const { clock, log } = this.#ports
    const { name, producer } = kept
    if (producer.restore === undefined) {
      throw new SallyportError(
        'not_supported',
        `${name} is not put back by the gate.`,
        'Nothing was written.',
        'Take the parts out: sallyport vault restore',
      )
    }
    const { id, opened } = await this.#openCopy(kept, snapshot)
    const result = await producer.restore(opened, { beside, report, signal: this.#stopped.signal })
    const data = { snapshot: id, upstream: name, by, ...result, leftNames: [...result.leftNames], putBack: true }
    await log.append({ type: 'undo', atMs: clock.nowMs(), data })
    return { what: 'restore', ...result }
  }

  #find(name: string): Kept {
    const found = this.#ports.kept.find((kept) => kept.name === name)
    if (found !== undefined) return found
    const known = this.#ports.kept.map((kept) => kept.name)
    throw new SallyportError(
      'not_in_scope',
      `Nothing called ${JSON.stringify(name.slice(0, 64))} is kept whole.`,
      'Nothing was done.',
      known.length === 0
        ? 'Put a PostgreSQL upstream, or something under `keep:`, into sallyport.yaml.'
        : `There are: ${known.join(', ')}.`,
    )
  }

  async #watch(): Promise<void> {
    const { clock, kept } = this.#ports
    const { signal } = this.#stopped
    while (!signal.aborted) {
      for (const one of kept) {
        if (this.#isDue(one.name, 'copy', one.copyEveryMs)) this.#begin('copy', one.name)
        if (this.#isDue(one.name, 'drill', one.drillEveryMs)) this.#begin('drill', one.name)
      }
      await this.#turn
      await clock.sleep(lookEveryMs, signal).catch(() => undefined)
    }
  }

  #begin(what: 'copy' | 'drill', name: string): void {
    this.begin({ what, name, snapshot: null, thing: null }, 'the schedule')
  }

  #isDue(name: string, what: 'copy' | 'drill', everyMs: number | null): boolean {
    if (everyMs === null) return false
    const { copyTriedAtMs, copyFailed, drillTriedAtMs, lastDrill } = this.#records.get(name)
    const triedAtMs = what === 'copy' ? copyTriedAtMs : drillTriedAtMs
    const failed = what === 'drill' ? lastDrill !== null && !lastDrill.passed : copyFailed
    const waitMs = failed ? Math.min(everyMs, againAfterMs) : everyMs
    const nowMs = this.#ports.clock.nowMs()
    return nowMs - triedAtMs >= waitMs || triedAtMs > nowMs
  }
}

/** The newest whole copy of this thing. */
function findNewest(snapshots: readonly Snapshot[], { name, producer }: Pick<Kept, 'name' | 'producer'>): Snapshot | null {
  return snapshots
    .filter(({ upstream, kind }) => upstream === name && kind === producer.kind)
    .reduce<Snapshot | null>((newest, one) => (newest === null || one.madeAtMs >= newest.madeAtMs ? one : newest), null)
}

function requirePassed(name: string, { passed, why }: DrillRecord): void {
  if (passed) return
  throw new SallyportError(
    'copy_failed',
    `The drill of ${name} failed: ${why}.`,
    'No restore point was made; the result is on the log.',
    `Mend what it names, then run it again: sallyport drill restore ${name}`,
  )
}

function noCopy(name: string): SallyportError {
  return new SallyportError(
    'not_in_scope',
    `The vault has no such copy of ${name}.`,
    'Nothing was written.',
    `Make one: sallyport vault copy ${name}`,
  )
}

function toSallyportError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  const why = error instanceof Error ? error.message.slice(0, 300) : 'no reason was given'
  return new SallyportError(
    'copy_failed',
    why,
    'No copy counts that was not restored and compared.',
    'Mend what the message names, then try again.',
    {
      cause: error,
    },
  )
}
