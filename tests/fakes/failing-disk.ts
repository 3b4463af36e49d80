import { basename, dirname } from 'node:path'
import type { FileSystem, LogFile } from '../../packages/gateway/src/log/file-system.ts'

export type DiskOperation = 'write' | 'datasync' | 'create' | 'rename' | 'syncDirectory' | 'truncate' | 'reserve'

/** What goes wrong: the operation's how-manieth call on a path that holds `path`. */
export interface Fault {
  readonly operation: DiskOperation
  /** 1 is the next one. */
  readonly call: number
  readonly path?: string
  /** `fail`: an I/O error, nothing done. `short`: a write takes half of its bytes. `lie`: reported as done, and nothing done. `stall`: waits for `release`. */
  readonly how: 'fail' | 'short' | 'lie' | 'stall'
}

interface Write {
  readonly position: number
  readonly bytes: Uint8Array
}

/** A file's bytes: as they are read back now, and as they lie on the platter. */
class Content {
  current: Buffer = Buffer.alloc(0)
  durable: Buffer = Buffer.alloc(0)
  pending: Write[] = []

  sync(): void {
    this.durable = Buffer.from(this.current)
    this.pending = []
  }
}

type NameChange = (names: Map<string, Content>) => void

/**
 * A disk in memory that forgets what was not synced. File contents become durable by `datasync`, names by `syncDirectory`. Faults fail,
 * shorten, fake or stall chosen operations.
 */
export class FailingDisk {
  readonly #names = new Map<string, Content>()
  #durableNames = new Map<string, Content>()
  readonly #pendingNames: { readonly directory: string; readonly change: NameChange }[] = []
  readonly #faults: { fault: Fault; left: number }[] = []
  readonly #stalled: (() => void)[] = []
  readonly counts: Record<DiskOperation, number> = {
    write: 0,
    datasync: 0,
    create: 0,
    rename: 0,
    syncDirectory: 0,
    truncate: 0,
    reserve: 0,
  }

  fail(fault: Fault): void {
    this.#faults.push({ fault, left: fault.call })
  }

  /** Lets every stalled operation go on. */
  release(): void {
    for (const go of this.#stalled.splice(0)) go()
  }

  get stalled(): number {
    return this.#stalled.length
  }

  /** The bytes of a file as they are read now. */
  bytes(path: string): Buffer {
    return Buffer.from(this.#content(path).current)
  }

  /** Changes a file behind the log's back. */
  overwrite(path: string, bytes: Uint8Array): void {
    const content = this.#names.get(path) ?? new Content()
    content.current = Buffer.from(bytes)
    content.sync()
    this.#names.set(path, content)
    this.#durableNames.set(path, content)
  }

  delete(path: string): void {
    this.#names.delete(path)
    this.#durableNames.delete(path)
  }

  paths(): readonly string[] {
    return [...this.#names.keys()].sort()
  }

  /** A whole copy, as an image of the disk. */
  copy(): FailingDisk {
    const copy = new FailingDisk()
    for (const [path, content] of this.#names) copy.overwrite(path, content.current)
    return copy
  }

  /**
   * What is left when the power goes: everything synced; of the rest, what `chance` (0 ≤ x < 1) says, in blocks of 512 bytes, in any order.
   * Files grow by blocks of zeros where a later block arrived and an earlier one did not.
   */
  powerCut(chance: () => number): FailingDisk {
    const names = new Map(this.#durableNames)
    for (const { change } of this.#pendingNames) if (chance() < 0.5) change(names)
    const after = new FailingDisk()
    for (const [path, content] of names) after.overwrite(path, tear(content, chance))
    return after
  }

  #content(path: string): Content {
    const content = this.#names.get(path)
    if (!content) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
    return content
  }

  #changeNames(path: string, change: NameChange): void {
    change(this.#names)
    this.#pendingNames.push({ directory: dirname(path), change })
  }

  async #meet(operation: DiskOperation, path: string): Promise<Fault['how'] | null> {
    this.counts[operation] += 1
    for (const [place, entry] of this.#faults.entries()) {
      if (entry.fault.operation !== operation || !path.includes(entry.fault.path ?? '')) continue
      entry.left -= 1
      if (entry.left > 0) continue
      this.#faults.splice(place, 1)
      if (entry.fault.how === 'stall') await new Promise<void>((resolve) => this.#stalled.push(resolve))
      if (entry.fault.how === 'fail') throw Object.assign(new Error(`EIO: i/o error, ${operation}`), { code: 'EIO' })
      return entry.fault.how
    }
    return null
  }

  readonly system: FileSystem = {
    makeDirectory: async () => {},
    list: async (path) => [
      ...new Set(
        [...this.#names.keys()]
          .filter((name) => name.startsWith(`${path}/`))
          .map((name) => name.slice(path.length + 1).split('/')[0] ?? ''),
      ),
    ],
    open: async (path, how) => {
      const known = this.#names.get(path)
      if (how === 'read' || how === 'write') return known ? this.#file(path, known) : null
      if (known && how === 'create') throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' })
      await this.#meet('create', path)
      const content = new Content()
      this.#changeNames(path, (names) => names.set(path, content))
      return this.#file(path, content)
    },
    rename: async (from, to) => {
      if ((await this.#meet('rename', to)) === 'lie') return
      const content = this.#content(from)
      this.#changeNames(to, (names) => {
        names.delete(from)
        names.set(to, content)
      })
    },
    remove: async (path) => {
      const gone = [...this.#names.keys()].filter((name) => name === path || name.startsWith(`${path}/`))
      for (const name of gone) this.#changeNames(name, (names) => names.delete(name))
    },
    syncDirectory: async (path) => {
      if ((await this.#meet('syncDirectory', path)) === 'lie') return
      const kept = this.#pendingNames.splice(0).filter(({ directory, change }) => {
        if (directory === path) change(this.#durableNames)
        return directory !== path
      })
      this.#pendingNames.push(...kept)
    },
  }

  #file(path: string, content: Content): LogFile {
    const write = async (bytes: Uint8Array, position: number): Promise<number> => {
      const how = await this.#meet('write', path)
      if (how === 'lie') return bytes.length
      const taken = how === 'short' ? Math.ceil(bytes.length / 2) : bytes.length
      apply(content, { position, bytes: Buffer.from(bytes.subarray(0, taken)) })
      return taken
    }
    const datasync = async (): Promise<void> => {
      // Only what was written when it began: a write that comes while it works is not covered.
      const covered = Buffer.from(content.current)
      const pending = content.pending.length
      await new Promise(setImmediate)
      if ((await this.#meet('datasync', path)) === 'lie') return
      content.durable = covered
      content.pending.splice(0, pending)
    }
    return {
      write,
      datasync,
      writeDurably: async (bytes, position) => {
        const written = await write(bytes, position)
        await datasync()
        return written
      },
      reserve: async (from, to) => {
        if ((await this.#meet('reserve', path)) === 'lie') return
        const zeros = { position: from, bytes: Buffer.alloc(to - from) }
        content.current = place(content.current, zeros)
        content.durable = place(content.durable, zeros)
      },
      read: async (bytes, position) => content.current.copy(bytes, 0, position),
      truncate: async (size) => {
        if ((await this.#meet('truncate', basename(path))) === 'lie') return
        content.current = Buffer.from(content.current.subarray(0, size))
        content.durable = Buffer.from(content.durable.subarray(0, size))
        content.pending = []
      },
      size: async () => content.current.length,
      close: async () => {},
    }
  }
}

function apply(content: Content, write: Write): void {
  content.current = place(content.current, write)
  content.pending.push(write)
}

function place(bytes: Buffer, { position, bytes: fresh }: Write): Buffer {
  const longer = Buffer.alloc(Math.max(bytes.length, position + fresh.length))
  bytes.copy(longer)
  longer.set(fresh, position)
  return longer
}

const blockBytes = 512

function tear(content: Content, chance: () => number): Buffer {
  let bytes: Buffer = Buffer.from(content.durable)
  for (const { position, bytes: fresh } of content.pending) {
    for (let start = 0; start < fresh.length; start += blockBytes) {
      if (chance() < 0.5) bytes = place(bytes, { position: position + start, bytes: fresh.subarray(start, start + blockBytes) })
    }
  }
  return bytes
}
