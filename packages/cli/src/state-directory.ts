import { randomBytes } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Option } from 'commander'
import { z } from 'zod'

/** `--state DIR`, the same on every command that talks to a gate or starts one. */
export function stateOption(): Option {
  return new Option('--state <directory>', 'where the gate keeps its state').default('.sallyport').env('SALLYPORT_STATE')
}

/** What a running `sallyport up` leaves for other commands to find it by. No secret in it. */
export const runShape = z.object({
  controlUrl: z.url(),
  /** `host:port` that agents' PostgreSQL clients connect to. */
  postgresAddress: z.string(),
  /** `host:port` that agents' HTTPS_PROXY names; absent when no http upstream is configured. */
  httpAddress: z.string().optional(),
  cliPid: z.number().int().positive(),
  gatewayPid: z.number().int().positive(),
  vaultPid: z.number().int().positive(),
  /** The playground's server; absent when the upstreams are somebody's own. */
  postgresPid: z.number().int().positive().optional(),
  postgresPort: z.number().int().positive().optional(),
  /** The configuration in force, absolute. */
  configuration: z.string(),
  startedAtMs: z.number().int(),
})
export type Run = z.infer<typeof runShape>

/** The record of the running gate, or null when there is none or it cannot be read as one. */
export function readRun(stateDirectory: string): Run | null {
  try {
    return runShape.parse(JSON.parse(readFileSync(join(resolve(stateDirectory), 'run.json'), 'utf8')))
  } catch {
    return null
  }
}

/** True when a gate's state lies here and this user may not read it, which is right for an agent's user. */
export function isClosedToUs(stateDirectory: string): boolean {
  try {
    accessSync(join(resolve(stateDirectory), 'run.json'), constants.R_OK)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES'
  }
}

export function writeRun(stateDirectory: string, run: Run): void {
  writePrivateFile(join(resolve(stateDirectory), 'run.json'), `${JSON.stringify(run, null, 2)}\n`)
}

export function removeRun(stateDirectory: string): void {
  rmSync(join(resolve(stateDirectory), 'run.json'), { force: true })
}

/** True while a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** PEM of the authority by which a gate opens its agents' HTTPS: made at its first start with an http upstream. */
export function agentAuthorityFile(stateDirectory: string): string {
  return join(resolve(stateDirectory), 'authority', 'ca.pem')
}

/** Makes a folder only its owner can enter; tightens one that exists. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
}

/** Writes a file that is 0600 from its first byte, and whole or not there: a rename after an fsync. */
export function writePrivateFile(path: string, content: string): void {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.new`)
  const file = openSync(temporary, 'wx', 0o600)
  try {
    writeSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
}
