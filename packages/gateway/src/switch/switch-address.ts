import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Where the switch listens, for the operator's command line: `switch.json` in the state folder. No secret in it. */
export interface SwitchAddress {
  readonly socketPath: string
  /** Of the gate's process. */
  readonly pid: number
}

export function writeAddress(directory: string, address: SwitchAddress): void {
  const path = join(directory, 'switch.json')
  const staged = `${path}.new`
  rmSync(staged, { force: true })
  const file = openSync(staged, 'wx', 0o600)
  try {
    writeSync(file, `${JSON.stringify(address)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(staged, path)
}

export function removeAddress(directory: string): void {
  rmSync(join(directory, 'switch.json'), { force: true })
}
