import {
  baseManifestShape,
  parseLsn,
  SallyportError,
  type Clock,
  type Json,
  type Snapshot,
  type Vault,
  type WalServer,
  type WalSource,
  type WalStream,
} from '@sallyport/core'
import { baseDigest, takeBase } from './base-copy.ts'

interface Base {
  readonly snapshot: Snapshot
  readonly endLsn: bigint
}

interface KeeperPorts {
  readonly vault: Pick<Vault, 'seal' | 'list' | 'open'>
  readonly source: WalSource
  readonly clock: Clock
}

interface KeeperAbout {
  readonly upstream: string
  readonly everyMs: number
  readonly retainMs: number
}

interface KeeperTell {
  readonly note: (data: Readonly<Record<string, Json>>) => Promise<void>
  readonly failed: (why: string) => Promise<void>
  /** A base was taken now. */
  readonly sealed: (snapshot: string) => Promise<void>
  /** The one from before the gate was started is new enough. */
  readonly found: (snapshot: string) => Promise<void>
}

const retryMs = 10_000

/** Sees to it that a stream has a base copy, and a new one from time to time: the older the base, the longer a restore takes. */
export class BaseKeeper {
  readonly #ports: KeeperPorts
  readonly #about: KeeperAbout
  readonly #tell: KeeperTell
  readonly #stopped = new AbortController()
  #current: { readonly stream: string; readonly base: Base } | null = null
  #busy = false

  constructor(ports: KeeperPorts, about: KeeperAbout, tell: KeeperTell) {
    this.#ports = ports
    this.#about = about
    this.#tell = tell
  }

  /** The newest base of the stream that was looked at last. */
  get current(): Base | null {
    return this.#current?.base ?? null
  }

  forget(): void {
    this.#current = null
  }

  /** One that is being taken is not waited for: it does not count. */
  close(): void {
    this.#stopped.abort()
  }

  /** Takes a base copy where there is none, or the newest one is old. One at a time; returns at once. */
  look(stream: WalStream, server: WalServer): void {
    if (this.#busy || this.#stopped.signal.aborted) return
    const { everyMs } = this.#about
    const known = this.#current
    if (known?.stream === stream.id && this.#ports.clock.nowMs() - known.base.snapshot.madeAtMs < everyMs) return
    this.#busy = true
    void this.#keep(stream, server).finally(() => (this.#busy = false))
  }

  async #keep(stream: WalStream, server: WalServer): Promise<void> {
    const { clock } = this.#ports
    const { upstream, everyMs, retainMs } = this.#about
    const { signal } = this.#stopped
    try {
      const found = await this.#find(stream)
      if (found !== null) this.#current = { stream: stream.id, base: found }
      if (found !== null && clock.nowMs() - found.snapshot.madeAtMs < everyMs) return await this.#tell.found(found.snapshot.id)
      const base = await takeBase(this.#ports, { upstream, stream, server, retainMs })
      const { id, bytes, digest, retainUntilMs } = base.snapshot
      await this.#tell.note({ snapshot: id, digest, kind: 'base', rows: 0, bytes, checksums: {}, retainUntilMs })
      this.#current = { stream: stream.id, base }
      await this.#tell.sealed(id)
    } catch (error) {
      if (signal.aborted) return
      await this.#tell.failed(error instanceof SallyportError ? error.message : 'it failed').catch(() => undefined)
      await clock.sleep(retryMs, signal)
    }
  }

  async #find(stream: WalStream): Promise<Base | null> {
    const { vault } = this.#ports
    const all = (await vault.list()).filter(({ kind, digest }) => kind === 'base' && digest === baseDigest(stream.id))
    const snapshot = all.toSorted((left, right) => right.madeAtMs - left.madeAtMs)[0]
    if (snapshot === undefined) return null
    const manifest = baseManifestShape.parse((await vault.open(snapshot.id)).manifest)
    return { snapshot, endLsn: parseLsn(manifest.endLsn) }
  }
}
