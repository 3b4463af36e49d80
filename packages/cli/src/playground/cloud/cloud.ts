import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { compiledCode } from '../../compiled-code.ts'
import { startChild, type Child } from '../../process-child.ts'
import { writePrivateFile } from '../../state-directory.ts'
import type { DatabaseName, PlaygroundServer } from '../server.ts'
import { attachVolumes, cloudFolder, openAccount, readVolumes, tokenFile } from './account.ts'
import { authorityFile } from './certificate.ts'
import { graphqlPath } from './endpoint.ts'
import { evidenceFile } from './evidence.ts'

/** The stand-in cloud, running, and where its things are. */
export interface PlaygroundCloud {
  readonly child: Child
  readonly port: number
  /** Where it takes GraphQL: the same path as the real one. */
  readonly url: string
  /** PEM of the authority that signed its certificate: for the gate's configuration and for `curl --cacert`. */
  readonly authorityFile: string
  /** The gate's own token. */
  readonly tokenFile: string
  /** The token that somebody made for domains, and that is valid for everything. It belongs into an unrelated file of a workspace. */
  readonly strayTokenFile: string
  /** Exact bytes of every request that arrived: one JSON line each (see evidence.ts). */
  readonly evidenceFile: string
  readonly ids: {
    readonly project: string
    readonly environments: { readonly [Name in DatabaseName]: string }
    readonly services: { readonly [Name in DatabaseName]: string }
    readonly volumes: { readonly [Name in DatabaseName]: string }
  }
}

const readyShape = z.object({ port: z.number().int().positive() })
const readyTimeoutMs = 20_000
const stopTimeoutMs = 8_000

/** Starts the stand-in over these servers: their data directories are its volumes from now on. */
export async function startCloud(
  stateDirectory: string,
  servers: { readonly [Name in DatabaseName]: PlaygroundServer },
  nowMs: number,
  signal?: AbortSignal,
): Promise<PlaygroundCloud> {
  const account = openAccount(stateDirectory, nowMs)
  const { production, staging } = attachVolumes(
    stateDirectory,
    { production: runsOn(servers.production), staging: runsOn(servers.staging) },
    nowMs,
  )
  if (production === undefined || staging === undefined) throw new Error('a database has no volume')
  const portFile = join(cloudFolder(stateDirectory), 'port')
  const preferred = existsSync(portFile) ? [`--port=${readFileSync(portFile, 'utf8').trim()}`] : []
  const child = await startChild({
    name: 'playground cloud',
    command: process.execPath,
    args: [fileURLToPath(new URL('./main.ts', import.meta.url)), `--playground=${stateDirectory}`, ...preferred],
    env: { PATH: process.env['PATH'] ?? '', ...compiledCode() },
    logFile: join(stateDirectory, 'logs', 'playground-cloud.log'),
    readyTimeoutMs,
    stopTimeoutMs,
    signal,
  })
  const { port } = readyShape.parse(child.ready)
  // So that a configuration that names it still holds at the next start.
  writePrivateFile(portFile, `${port}\n`)
  return {
    child,
    port,
    url: `https://localhost:${port}${graphqlPath}`,
    authorityFile: authorityFile(stateDirectory),
    tokenFile: tokenFile(stateDirectory, 'gate'),
    strayTokenFile: tokenFile(stateDirectory, 'domains'),
    evidenceFile: evidenceFile(stateDirectory),
    ids: {
      project: account.project.id,
      environments: account.environments,
      services: account.services,
      volumes: { production: production.id, staging: staging.id },
    },
  }
}

function runsOn({ folder, child }: PlaygroundServer): { readonly folder: string; readonly guardianPid: number } {
  return { folder, guardianPid: child.pid }
}

/** Whether this server ended because its volume was deleted, which is no failure of the playground. */
export function isVolumeGone(stateDirectory: string, name: DatabaseName): boolean {
  return readVolumes(stateDirectory)[name] === undefined
}
