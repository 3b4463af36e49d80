import { userInfo } from 'node:os'
import { join } from 'node:path'
import { interrupted, type Child } from '../process-child.ts'
import { makePrivateFolder, writePrivateFile } from '../state-directory.ts'
import { makeDatabases, writeCredentials } from './databases.ts'
import { choosePort } from './port.ts'
import { startPlaygroundServer } from './server.ts'

/** A real PostgreSQL with believable data and the configuration that puts the gate before it. */
export interface Playground {
  readonly server: Child
  readonly port: number
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
  readonly signal?: AbortSignal | undefined
}

export const playgroundAgent = 'coder'

export async function startPlayground(settings: PlaygroundSettings): Promise<Playground> {
  const { stateDirectory, anchor } = settings
  makePrivateFolder(stateDirectory)
  const server = await startPlaygroundServer(stateDirectory, settings.signal)
  // Filling takes seconds and is one statement: ending the server ends it at once.
  const interrupt = (): void => void server.child.stop()
  settings.signal?.addEventListener('abort', interrupt, { once: true })
  try {
    if (server.isNew) {
      await makeDatabases(server, stateDirectory, anchor)
      server.markComplete()
    }
    writeCredentials(server, stateDirectory)
    const configuration = join(stateDirectory, 'playground.yaml')
    const postgresPort = await choosePort(settings.postgresPort)
    const controlPort = await choosePort(settings.controlPort, ['127.0.0.1', '::1'])
    writePrivateFile(configuration, describePlayground(postgresPort, controlPort, ownerName()))
    return { server: server.child, port: server.port, configuration, agent: playgroundAgent }
  } catch (error) {
    await server.child.stop()
    throw settings.signal?.aborted ? interrupted() : error
  } finally {
    settings.signal?.removeEventListener('abort', interrupt)
  }
}

function ownerName(): string {
  const name = userInfo()
    .username.toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
  return name === '' ? 'owner' : name
}

/** The playground's sallyport.yaml. Written anew at every start: change a copy of it, not this one. */
export function describePlayground(postgresPort: number, controlPort: number, owner: string): string {
  return `# The playground's configuration, written by \`sallyport up\` at every start. For your own database: \`sallyport init\`.
version: 1
mode: solo
people: []
listen:
  postgres: 127.0.0.1:${postgresPort}
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
agents:
  ${playgroundAgent}:
    owner: ${owner}
    may:
      - any staging
      - any production
    handles:
      ttl: 8h
limits:
  rowsWithoutPrompt: 1000
coolOff: 10s
retention: 7d
accept_risk: [level-0]
`
}
