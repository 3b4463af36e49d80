import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningGate } from './process.ts'

/**
 * What `sallyport up` leaves for other commands to find a gate by, left by a gate that systemd or a container started instead. No secret in it.
 * It goes when the process ends; after a kill its process id says that it is of nobody.
 */
export function announceService(
  stateDirectory: string,
  configuration: string,
  { controlUrl, postgresAddress, httpAddress }: RunningGate,
): void {
  const record = {
    controlUrl,
    postgresAddress,
    ...(httpAddress === null ? {} : { httpAddress }),
    cliPid: process.pid,
    gatewayPid: process.pid,
    // Whoever started the vault knows its number; for the commands it is enough that the gate reaches it.
    vaultPid: process.pid,
    configuration,
    startedAtMs: Date.now(),
  }
  const path = join(stateDirectory, 'run.json')
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
  process.once('exit', () => rmSync(path, { force: true }))
}
