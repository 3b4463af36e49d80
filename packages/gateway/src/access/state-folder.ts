import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'

/** What the gate keeps beside its store, each in a file of its own that only the gate's user can read. */
export interface StateFolder {
  readonly directory: string
  /** Keeps SCRAM salts stable. */
  readonly saltKey: Buffer
  /** What the operator's command line proves itself with. */
  readonly operatorToken: string
  /** The kill switch's own credential: it stops, and does nothing else. */
  readonly switchToken: string
  /** Seed of the Ed25519 key that signs the log's checkpoints. */
  readonly logSeed: Buffer
  /** Seed of the key that is to take its place at this start; null: none is. */
  readonly nextLogSeed: Buffer | null
  /** Names this log for good: `sallyport/` and 16 hex digits. */
  readonly origin: string
}

/** Made by `sallyport log rotate-key`. */
const nextLogKey = 'log.key.next'

/** The next key of the log becomes its key; the old one is gone from then on. Whole or not at all, durable when it returns. */
export function replaceLogKey(directory: string): void {
  renameSync(join(directory, nextLogKey), join(directory, 'log.key'))
  syncFolder(directory)
}

/** Opens or makes the folder. @throws SallyportError when others can read what is in it */
export function openStateFolder(directory: string): StateFolder {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  refuseForeign(directory, 'directory')
  // Others may at most pass through: the vault's own user has its folder in here.
  if ((statSync(directory).mode & 0o066) !== 0) chmodSync(directory, 0o700)
  const key = (name: string): string => keep(directory, name, /^[0-9a-f]{64}$/, () => randomBytes(32).toString('hex'))
  return {
    directory,
    saltKey: Buffer.from(key('salt.key'), 'hex'),
    operatorToken: key('operator.token'),
    switchToken: key('switch.token'),
    logSeed: Buffer.from(key('log.key'), 'hex'),
    nextLogSeed: existsSync(join(directory, nextLogKey)) ? Buffer.from(key(nextLogKey), 'hex') : null,
    origin: keep(directory, 'log.origin', /^sallyport\/[0-9a-f]{16}$/, () => `sallyport/${randomBytes(8).toString('hex')}`),
  }
}

/** Reads a secret file, or makes it: whole and durable, readable by its owner alone, never overwritten. */
function keep(directory: string, name: string, pattern: RegExp, make: () => string): string {
  const path = join(directory, name)
  if (!existsSync(path)) {
    makeWhole(directory, path, make())
  }
  refuseForeign(path, 'file')
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new SallyportError(
      'store_unavailable',
      `Others on this machine can read ${path}.`,
      'The gate did not start.',
      `chmod 600 ${path}; if somebody may have read it, replace it.`,
    )
  }
  const text = readFileSync(path, 'utf8').trim()
  // An empty token would be everybody's, and half a key is another key.
  if (!pattern.test(text)) {
    throw new SallyportError(
      'store_unavailable',
      `${path} does not hold what belongs there.`,
      'The gate did not start.',
      'Put the file back from a copy; only if there never was one, remove it, and a new one is made.',
    )
  }
  return text
}

/** Who made it beforehand knows what is in it, and who owns the folder can put another one in its place. */
function refuseForeign(path: string, kind: 'directory' | 'file'): void {
  const status = kind === 'directory' ? statSync(path) : lstatSync(path)
  const isOurs = process.getuid === undefined || status.uid === process.getuid()
  if (isOurs && (kind === 'directory' || status.isFile())) return
  throw new SallyportError(
    'store_unavailable',
    `${path} ${isOurs ? 'is no plain file' : 'belongs to another user of this machine'}.`,
    'The gate did not start.',
    'Find out who put it there; then start with a state folder of your own.',
  )
}

/** Under its name it is there whole or not at all, whenever the power goes. */
function makeWhole(directory: string, path: string, text: string): void {
  const staged = `${path}.next`
  rmSync(staged, { force: true })
  const file = openSync(staged, 'wx', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  linkSync(staged, path)
  rmSync(staged)
  syncFolder(directory)
}

function syncFolder(directory: string): void {
  const folder = openSync(directory, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
