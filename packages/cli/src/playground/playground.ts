import { userInfo } from 'node:os'
import { join } from 'node:path'
import { interrupted, type Child } from '../process-child.ts'
import { makePrivateFolder, writePrivateFile } from '../state-directory.ts'
import { isVolumeGone, startCloud, type PlaygroundCloud } from './cloud/cloud.ts'
import { describeCloudUpstream } from './cloud/upstream.ts'
import { makeDatabases, writeCredentials } from './databases.ts'
import { choosePort } from './port.ts'
import { databaseNames, startPlaygroundServers, type PlaygroundServers } from './server.ts'

/** A real PostgreSQL with believable data and the configuration that puts the gate before it. */
export interface Playground {
  /** Servers and cloud as one: stopped together, and ended when one of them ends that should not. */
  readonly server: Child
  /** Production's. */
  readonly port: number
  readonly cloud: PlaygroundCloud
  /** The generated configuration file, absolute. */
  readonly configuration: string
  readonly agent: string
}

export interface PlaygroundSettings {
  readonly stateDirectory: string
  /** The newest moment in the data. */
  readonly anchor: Date
  /** Where the gate listens; taken ports are replaced by free ones. */
  readonly postgresPort: number
  readonly controlPort: number
  /** Absent: a free one. */
  readonly httpPort?: number
  readonly signal?: AbortSignal | undefined
}

export const playgroundAgent = 'coder'

export async function startPlayground(settings: PlaygroundSettings): Promise<Playground> {
  const { stateDirectory, anchor } = settings
  makePrivateFolder(stateDirectory)
  const servers = await startPlaygroundServers(stateDirectory, settings.signal)
  const started: Child[] = [servers.production.child, servers.staging.child]
  // Filling takes seconds and is one statement: ending the server ends it at once.
  const interrupt = (): void => void stopAll(started)
  settings.signal?.addEventListener('abort', interrupt, { once: true })
  try {
    const [cloud] = await waitForBoth(
      startCloud(stateDirectory, servers, anchor.getTime(), settings.signal),
      makeDatabases(servers, stateDirectory, anchor),
      (cloud) => started.push(cloud.child),
    )
    writeCredentials(servers, stateDirectory)
    const configuration = join(stateDirectory, 'playground.yaml')
    const postgresPort = await choosePort(settings.postgresPort)
    const controlPort = await choosePort(settings.controlPort, ['127.0.0.1', '::1'])
    const httpPort = await choosePort(settings.httpPort ?? null)
    writePrivateFile(configuration, describePlayground({ postgresPort, controlPort, httpPort }, ownerName(), cloud))
    const server = asOne(stateDirectory, servers, cloud)
    return { server, port: servers.production.port, cloud, configuration, agent: playgroundAgent }
  } catch (error) {
    await stopAll(started)
    throw settings.signal?.aborted ? interrupted() : error
  } finally {
    settings.signal?.removeEventListener('abort', interrupt)
  }
}

/** Waits for both, so that what was started can be stopped when the other fails. */
async function waitForBoth(
  cloud: Promise<PlaygroundCloud>,
  databases: Promise<void>,
  keep: (cloud: PlaygroundCloud) => void,
): Promise<[PlaygroundCloud]> {
  const [first, second] = await Promise.allSettled([cloud, databases])
  if (first.status === 'fulfilled') keep(first.value)
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  return [first.value]
}

async function stopAll(children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.stop()))
}

/** The cloud is stopped first: it could still delete a volume. A server whose volume was deleted has a right to be gone. */
function asOne(stateDirectory: string, servers: PlaygroundServers, cloud: PlaygroundCloud): Child {
  const databases = databaseNames.map((name) => servers[name].child)
  const never = new Promise<never>(() => undefined)
  const ends = databaseNames.map((name) =>
    servers[name].child.ended.then((how) => (isVolumeGone(stateDirectory, name) ? never : how)),
  )
  return {
    name: 'playground',
    pid: servers.production.child.pid,
    ready: servers.production.child.ready,
    ended: Promise.race([...ends, cloud.child.ended]),
    lastLines: () => [cloud.child, ...databases].flatMap((child) => child.lastLines()),
    stop: async () => {
      await cloud.child.stop()
      await stopAll(databases)
    },
    kill: () => {
      for (const child of [cloud.child, ...databases]) child.kill()
    },
  }
}

function ownerName(): string {
  const name = userInfo()
    .username.toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
  return name === '' ? 'owner' : name
}

interface PlaygroundPorts {
  readonly postgresPort: number
  readonly controlPort: number
  readonly httpPort: number
}

/** The playground's sallyport.yaml. Written anew at every start: change a copy of it, not this one. */
function describePlayground(
  { postgresPort, controlPort, httpPort }: PlaygroundPorts,
  owner: string,
  cloud: PlaygroundCloud,
): string {
  return `# The playground's configuration, written by \`sallyport up\` at every start. For your own database: \`sallyport init\`.
version: 1
mode: solo
people: []
listen:
  postgres: 127.0.0.1:${postgresPort}
  http: 127.0.0.1:${httpPort}
  control: localhost:${controlPort}
upstreams:
  production:
    protocol: postgres
    environment: production
    use: file:secrets/production.use
    protect: file:secrets/production.protect
  staging:
    protocol: postgres
    environment: staging
    use: file:secrets/staging.use
    protect: file:secrets/staging.protect
${describeCloudUpstream(cloud)}agents:
  ${playgroundAgent}:
    owner: ${owner}
    may:
      - any staging
      - any production
      - any cloud
    handles:
      ttl: 8h
limits:
  rowsWithoutPrompt: 1000
coolOff: 10s
retention: 7d
accept_risk: [level-0]
`
}
