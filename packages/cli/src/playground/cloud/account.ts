import { randomBytes, randomUUID, createHash, timingSafeEqual } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { makePrivateFolder, writePrivateFile } from '../../state-directory.ts'
import { databaseNames, type DatabaseName } from '../server.ts'

const uuid = z.uuid()
const perDatabase = z.object({ production: uuid, staging: uuid })

const accountShape = z.object({
  version: z.literal(1),
  createdAtMs: z.number(),
  project: z.object({ id: uuid, name: z.string() }),
  environments: perDatabase,
  services: perDatabase,
  deployments: perDatabase,
  /** What each volume is called, by its id. One that is not in `volumes` any more was deleted. */
  volumeNames: z.record(z.string(), z.string()),
  domains: z.array(
    z.object({
      id: uuid,
      domain: z.string(),
      environmentId: z.string(),
      projectId: z.string(),
      serviceId: z.string(),
      targetPort: z.number().nullable(),
      createdAtMs: z.number(),
    }),
  ),
  variables: z.array(
    z.object({ environmentId: z.string(), serviceId: z.string().nullable(), name: z.string(), value: z.string() }),
  ),
  /** The provider's own backups lie on the volume, and go with it. */
  backups: z.array(z.object({ id: uuid, volume: uuid, name: z.string().nullable(), createdAtMs: z.number() })),
})
/** Everything of the playground's cloud account that is no volume. */
export type Account = z.infer<typeof accountShape>

const volumesShape = z.partialRecord(
  z.enum(databaseNames),
  z.object({
    id: uuid,
    /** The cluster's folder; its data directory is `data` in it. */
    folder: z.string(),
    /** The process that runs the server and ends it whole; null while none does. */
    guardianPid: z.number().int().positive().nullable(),
  }),
)
/** Which volumes there are, and what really lies on them. */
export type Volumes = z.infer<typeof volumesShape>

export function cloudFolder(stateDirectory: string): string {
  return join(stateDirectory, 'cloud')
}

function accountFile(stateDirectory: string): string {
  return join(cloudFolder(stateDirectory), 'account.json')
}

function volumesFile(stateDirectory: string): string {
  return join(cloudFolder(stateDirectory), 'volumes.json')
}

/**
 * Two tokens. The gate's own, and one that somebody made to manage domains: like the incident's, it is valid for everything, since the
 * provider knows no narrower one.
 */
export const tokenNames = ['gate', 'domains'] as const
export type TokenName = (typeof tokenNames)[number]

export function tokenFile(stateDirectory: string, name: TokenName): string {
  return join(stateDirectory, 'secrets', `cloud.${name}.token`)
}

/** Makes account and tokens at the first start; gives a volume to each database that has none. */
export function openAccount(stateDirectory: string, nowMs: number): Account {
  makePrivateFolder(cloudFolder(stateDirectory))
  mkdirSync(join(stateDirectory, 'secrets'), { recursive: true, mode: 0o700 })
  for (const name of tokenNames) {
    const file = tokenFile(stateDirectory, name)
    if (!existsSync(file)) writePrivateFile(file, `${randomUUID()}\n`)
  }
  if (existsSync(accountFile(stateDirectory))) return readAccount(stateDirectory)
  const ids = (): { production: string; staging: string } => ({ production: randomUUID(), staging: randomUUID() })
  const account: Account = {
    version: 1,
    createdAtMs: nowMs,
    project: { id: randomUUID(), name: 'shop' },
    environments: ids(),
    services: ids(),
    deployments: ids(),
    volumeNames: {},
    domains: [],
    variables: [],
    backups: [],
  }
  writeAccount(stateDirectory, account)
  return account
}

export function readAccount(stateDirectory: string): Account {
  return accountShape.parse(JSON.parse(readFileSync(accountFile(stateDirectory), 'utf8')))
}

export function writeAccount(stateDirectory: string, account: Account): void {
  writePrivateFile(accountFile(stateDirectory), `${JSON.stringify(account, null, 2)}\n`)
}

export function readVolumes(stateDirectory: string): Volumes {
  const file = volumesFile(stateDirectory)
  return existsSync(file) ? volumesShape.parse(JSON.parse(readFileSync(file, 'utf8'))) : {}
}

export function writeVolumes(stateDirectory: string, volumes: Volumes): void {
  writePrivateFile(volumesFile(stateDirectory), `${JSON.stringify(volumes, null, 2)}\n`)
}

/** Says which processes run on which volumes; a database without a volume gets a new one, with an id that was never used. */
export function attachVolumes(
  stateDirectory: string,
  servers: { readonly [Name in DatabaseName]?: { readonly folder: string; readonly guardianPid: number } },
  nowMs: number,
): Volumes {
  const account = openAccount(stateDirectory, nowMs)
  const volumes = { ...readVolumes(stateDirectory) }
  const names = { ...account.volumeNames }
  const backups = [...account.backups]
  for (const name of databaseNames) {
    const server = servers[name]
    if (server === undefined) continue
    const id = volumes[name]?.id ?? randomUUID()
    volumes[name] = { id, ...server }
    names[id] ??= `postgres-${name}-data`
    if (!backups.some(({ volume }) => volume === id))
      backups.push({ id: randomUUID(), volume: id, name: 'Daily', createdAtMs: nowMs })
  }
  writeAccount(stateDirectory, { ...account, volumeNames: names, backups })
  writeVolumes(stateDirectory, volumes)
  return volumes
}

/** Whether a request's bearer is one of the account's tokens. Compared by hashes, in time that tells nothing. */
export function isKnownToken(stateDirectory: string, given: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  const wanted = hash(given)
  return tokenNames.reduce((known, name) => {
    const token = readFileSync(tokenFile(stateDirectory, name), 'utf8').trim()
    return timingSafeEqual(hash(token), wanted) || known
  }, false)
}

export function newWorkflowId(): string {
  return `backup-${randomBytes(8).toString('hex')}`
}
