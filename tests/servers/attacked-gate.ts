import { afterAll, beforeAll } from 'vitest'
import type { AgentSettings, TestGateSettings } from './gate-settings.ts'
import { startGate, type Ran, type TestGate } from './gate.ts'
import { startPostgres, type PostgresServer } from './postgres.ts'

/** A statement, and its values. */
export type Statement = string | readonly [string, readonly unknown[]]

/** A real gate before a real server, attacked by agents that may read, write, or do anything. */
export interface AttackedGate {
  readonly postgres: PostgresServer
  readonly gate: TestGate
  /** One statement after another on one connection of this agent's. */
  readonly runAs: (agent: string, statements: readonly Statement[]) => Promise<readonly Ran[]>
}

export interface AttackedGateSettings extends Partial<Omit<TestGateSettings, 'postgres'>> {
  /** Beside `reader`, `writer` and `coder`, all owned by ada. */
  readonly furtherAgents?: Readonly<Record<string, AgentSettings>>
  /** Once the server is there, before the gate; and once both are. */
  readonly beforeGate?: (postgres: PostgresServer) => Promise<unknown>
  readonly prepare?: (postgres: PostgresServer) => Promise<unknown>
}

const attackers: Readonly<Record<string, AgentSettings>> = {
  reader: { owner: 'ada', may: ['read orders-db'] },
  writer: { owner: 'ada', may: ['write orders-db'] },
  coder: { owner: 'ada', may: ['any orders-db'] },
}

/** Called at the top of a test file: there before its tests, and gone after them. */
export function useAttackedGate({ furtherAgents, beforeGate, prepare, ...settings }: AttackedGateSettings): AttackedGate {
  let postgres: PostgresServer | null = null
  let gate: TestGate | null = null
  beforeAll(async () => {
    postgres = await startPostgres()
    await beforeGate?.(postgres)
    gate = await startGate({ wait: '1s', agents: { ...attackers, ...furtherAgents }, ...settings, postgres })
    await prepare?.(postgres)
  })
  afterAll(async () => {
    await gate?.stop()
    await postgres?.stop()
  })
  const early = 'the gate is started before the tests, not before their file'
  const theGate = (): TestGate => {
    if (gate === null) throw new Error(early)
    return gate
  }
  return {
    get postgres() {
      if (postgres === null) throw new Error(early)
      return postgres
    },
    get gate() {
      return theGate()
    },
    async runAs(agent, statements) {
      const connection = await theGate().connect(agent)
      const ran: Ran[] = []
      for (const one of statements)
        ran.push(typeof one === 'string' ? await connection.run(one) : await connection.run(one[0], one[1]))
      await connection.close()
      return ran
    },
  }
}
