import { SallyportError, spendClearance, type Clearance, type Environment, type SqlRow } from '@sallyport/core'
import { digestUnit } from '../../protocols/postgres/payload-digest.ts'
import type { Backend, BackendListener, CatalogEpoch, ProtectConnection, Unit } from '../../protocols/postgres/upstreams.ts'
import type { Connected } from './connect.ts'

export interface BackendAbout {
  readonly environment: Environment
  readonly quarantineMs: number | null
  readonly identity: string
  readonly protect: ProtectConnection
  readonly catalog: CatalogEpoch
  /** This backend is no longer there. */
  readonly released: () => void
  /** The kill epoch of this backend's session, as it is now. */
  readonly killEpoch: () => number
  /** Carries out whatever kill has been pulled by now: it may be this very session's. */
  readonly hear: () => void
  /** Sends a CancelRequest for this backend. */
  readonly cancel: () => void
}

/** After the end of a session whose statement was to be cancelled. */
const cancelAgainMs = [250, 1_000, 4_000] as const

/** The agent's own connection: the last place that a byte passes before it is the upstream's. */
export class SocketBackend implements Backend {
  readonly environment: Environment
  readonly quarantineMs: number | null
  readonly identity: string
  readonly pid: number
  readonly parameters: readonly (readonly [string, string])[]
  readonly told: SqlRow | null
  readonly protect: ProtectConnection
  readonly catalog: CatalogEpoch
  #sendCancel: () => void
  #cancelled = false
  #connected: Connected
  #killEpoch: () => number
  #hear: () => void
  #released: () => void
  #destroyed = false

  constructor(connected: Connected, about: BackendAbout) {
    this.#connected = connected
    this.#killEpoch = about.killEpoch
    this.environment = about.environment
    this.quarantineMs = about.quarantineMs
    this.identity = about.identity
    this.protect = about.protect
    this.catalog = about.catalog
    this.#released = about.released
    this.#hear = about.hear
    this.#sendCancel = about.cancel
    this.pid = connected.pid
    this.parameters = [...connected.parameters]
    this.told = connected.told
  }

  attend(listener: BackendListener): void {
    const { socket, intake } = this.#connected
    socket.on('data', (chunk: Buffer) => void listener.data(chunk))
    intake?.deliver((chunk) => listener.data(chunk))
    socket.on('drain', () => listener.drained())
    socket.once('close', () => {
      if (!this.#destroyed) listener.closed('The upstream closed the connection.')
    })
    if (socket.destroyed) return listener.closed('The upstream closed the connection.')
    socket.resume()
  }

  cancel(): void {
    this.#cancelled = true
    this.#sendCancel()
  }

  forwardRead(bytes: Buffer): boolean {
    return this.#write(bytes)
  }

  converse(bytes: Buffer): boolean {
    return this.#write(bytes)
  }

  send(clearance: Clearance, unit: Unit, before: Buffer | null): boolean {
    const digest = digestUnit(unit)
    if (digest === null || this.#destroyed) {
      throw new SallyportError(
        'clearance_invalid',
        'What was to be sent is not one statement, or the connection has ended.',
        'Nothing was sent upstream.',
        'Send the request again; if it repeats, report it: this is a defect of the gate.',
      )
    }
    const { socket } = this.#connected
    spendClearance(clearance, digest, this.#killEpoch())
    if (before === null) return socket.write(unit.bytes)
    socket.cork()
    socket.write(before)
    const room = socket.write(unit.bytes)
    socket.uncork()
    return room
  }

  #write(bytes: Buffer): boolean {
    this.#hear()
    return this.#destroyed ? true : this.#connected.socket.write(bytes)
  }

  pause(): void {
    this.#connected.socket.pause()
  }

  resume(): void {
    if (!this.#destroyed) this.#connected.socket.resume()
  }

  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#connected.socket.destroy()
    this.#released()
    // A server that had not begun with the statement when it was told to stop would run it for nobody, to its end.
    if (this.#cancelled) for (const ms of cancelAgainMs) setTimeout(this.#sendCancel, ms).unref()
  }
}
