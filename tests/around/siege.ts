import { RawClient } from '../fakes/postgres-client.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import { isSingle, play, type Attack, type Placeholders } from './attack.ts'
import { differences, openWitness, type Witness } from './server-state.ts'
import { startTarget, type Target } from './target.ts'

const agents = { reader: ['read orders-db'], rows: ['read orders-db', 'postgres.insert orders-db', 'postgres.copy_in orders-db'] }
export type Agent = keyof typeof agents

/** What the second agent is there to write. */
const written: Readonly<Record<Agent, readonly string[]>> = { reader: [], rows: ['notes', 'notes_id_seq'] }
/** Attacks between two looks at the server, over one connection where they leave nothing behind in it. */
const groupSize = 20
const answerTimeoutMs = 20_000

/** A real gate before a target, and agents with nothing in hand but what they may do. The gate's own credential is a superuser's. */
export interface Siege {
  readonly target: Target
  readonly gate: TestGate
  readonly witness: Witness
  /** What was changed, and after which attacks: nothing, if all is well. */
  run(agent: Agent, attacks: readonly Attack[]): Promise<readonly string[]>
  /** Answers to statements in a session of their own. */
  ask(agent: Agent, script: Attack['script']): Promise<readonly string[]>
  stop(): Promise<void>
}

export async function startSiege(binaries?: string): Promise<Siege> {
  const target = await startTarget(binaries)
  const gate = await startGate({
    postgres: target.server,
    wait: '0s',
    agents: Object.fromEntries(Object.entries(agents).map(([name, may]) => [name, { owner: 'ada', may }])),
  })
  await target.server.query('ALTER ROLE app_use SUPERUSER')
  await target.fill('postgres')
  const witness = await openWitness(target.server, 'postgres', target.loot)
  const placeholders = await target.placeholders('postgres', witness)
  const handles = { reader: await gate.issue('reader'), rows: await gate.issue('rows') }
  const open = (agent: Agent, startup: Attack['startup']): Promise<RawClient> =>
    RawClient.open(gate.port, agent, handles[agent], 'orders-db', Object.entries(startup ?? {}))
  return {
    target,
    gate,
    witness,
    run: async (agent, attacks) => {
      const found: string[] = []
      for (const group of inGroups(attacks)) {
        const before = await witness.look()
        await attackAll(group, (startup) => open(agent, startup), placeholders)
        const changed = differences(before, await witness.look(), written[agent])
        if (changed.length > 0) found.push(`${changed.join(', ')} after ${group.map(({ id }) => id).join(', ')}`)
      }
      return found
    },
    ask: async (agent, script) => {
      const client = await open(agent, undefined)
      const lines = await play({ id: '', why: '', as: [], bites: false, script }, client, placeholders)
      client.close()
      return lines
    },
    stop: async () => {
      await witness.close()
      await gate.stop()
      await target.stop()
    },
  }
}

/** A connection is shared until the gate ends it, or a transaction is left open. */
async function attackAll(
  group: readonly Attack[],
  open: (startup: Attack['startup']) => Promise<RawClient>,
  placeholders: Placeholders,
): Promise<void> {
  let shared: RawClient | null = null
  for (const attack of group) {
    const isShared = isSingle(attack)
    const client: RawClient | null = isShared && shared !== null ? shared : await open(attack.startup).catch(() => null)
    // Refused at the door.
    if (client === null) continue
    const late = setTimeout(() => client.close(), answerTimeoutMs)
    const lines = await play(attack, client, placeholders)
    clearTimeout(late)
    const goesOn = isShared && lines.at(-1) === 'Z I'
    shared = goesOn ? client : null
    if (!goesOn) client.close()
  }
  shared?.close()
}

function inGroups(attacks: readonly Attack[]): readonly (readonly Attack[])[] {
  const sorted = [...attacks.filter(isSingle), ...attacks.filter((attack) => !isSingle(attack))]
  return Array.from({ length: Math.ceil(sorted.length / groupSize) }, (_, index) =>
    sorted.slice(index * groupSize, (index + 1) * groupSize),
  )
}
