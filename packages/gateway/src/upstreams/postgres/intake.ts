import type { OnReadOpts, Socket } from 'node:net'

/** What a connection that lies idle costs, and what one that streams reads at once. */
const smallBytes = 4 * 1024
const largeBytes = 64 * 1024
/** A piece is read larger when it fills the memory there is, and smaller again after so many pieces that would have fitted the small one. */
const smallAgainAfter = 64
/** Up to here bytes are copied out of the memory rather than the memory given away. */
const copiedBytesMax = 1024

/** Gets bytes in memory that is read into again unless it says false: then they are its own. */
export type Direct = (chunk: Buffer) => boolean

/**
 * Reads a socket into the same memory again and again. Node makes new memory for each read otherwise, which has to be collected: a third of what a long
 * COPY costs. Without a `direct` reader, or while it may not read, bytes go the usual way, as the stream's own.
 */
export class Intake {
  #memory = Buffer.allocUnsafeSlow(smallBytes)
  #socket: Socket | null = null
  #direct: Direct | null = null
  #smalls = 0

  /** For `net.connect`. */
  get options(): OnReadOpts {
    return { buffer: () => this.#memory, callback: (bytes) => this.#take(bytes) }
  }

  attach(socket: Socket): void {
    this.#socket = socket
  }

  /** What lies in the stream already comes as `data` first; the caller listens for that too. */
  deliver(direct: Direct): void {
    this.#direct = direct
  }

  #take(bytes: number): boolean {
    const socket = this.#socket
    if (socket === null) return true
    const chunk = this.#memory.subarray(0, bytes)
    if (this.#direct === null || socket.readableLength > 0 || socket.isPaused()) return this.#push(socket, chunk)
    if (!this.#direct(chunk)) this.#renew(bytes)
    else if (bytes === this.#memory.length && bytes < largeBytes) this.#memory = Buffer.allocUnsafeSlow(largeBytes)
    else this.#shrink(bytes)
    return true
  }

  #push(socket: Socket, chunk: Buffer): boolean {
    if (chunk.length <= copiedBytesMax) return socket.push(Buffer.from(chunk))
    this.#renew(chunk.length)
    return socket.push(chunk)
  }

  /** What was read stays with whoever has it. */
  #renew(bytes: number): void {
    this.#memory = Buffer.allocUnsafeSlow(bytes === this.#memory.length ? largeBytes : this.#memory.length)
  }

  #shrink(bytes: number): void {
    this.#smalls = bytes < smallBytes ? this.#smalls + 1 : 0
    if (this.#memory.length === smallBytes || this.#smalls < smallAgainAfter) return
    this.#memory = Buffer.allocUnsafeSlow(smallBytes)
    this.#smalls = 0
  }
}
