import { closeSync, existsSync, fsyncSync, mkdirSync, chmodSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
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
  /** Seed of the Ed25519 key that signs the log's checkpoints. */
  readonly logSeed: Buffer
  /** Names this log for good: `sallyport/` and 16 hex digits. */
  readonly origin: string
}

/** Opens or makes the folder. @throws SallyportError when others can read what is in it */
export function openStateFolder(directory: string): StateFolder {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Others may at most pass through: the vault's own user has its folder in here.
  if ((statSync(directory).mode & 0o066) !== 0) chmodSync(directory, 0o700)
  return {
    directory,
    saltKey: Buffer.from(
      keep(join(directory, 'salt.key'), () => randomBytes(32).toString('hex')),
      'hex',
    ),
    operatorToken: keep(join(directory, 'operator.token'), () => randomBytes(32).toString('hex')),
    logSeed: Buffer.from(
      keep(join(directory, 'log.key'), () => randomBytes(32).toString('hex')),
      'hex',
    ),
    origin: keep(join(directory, 'log.origin'), () => `sallyport/${randomBytes(8).toString('hex')}`),
  }
}

/** Reads a secret file, or makes it: whole and durable, readable by its owner alone, never overwritten. */
function keep(path: string, make: () => string): string {
  if (!existsSync(path)) {
    const file = openSync(path, 'wx', 0o600)
    try {
      writeSync(file, make())
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new SallyportError(
      'store_unavailable',
      `Others on this machine can read ${path}.`,
      'The gate did not start.',
      `chmod 600 ${path}; if somebody may have read it, replace it.`,
    )
  }
  return readFileSync(path, 'utf8')
}
