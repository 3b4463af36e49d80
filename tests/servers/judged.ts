import { expect } from 'vitest'
import { z } from 'zod'
import type { AgentConnection, TestGate } from './gate.ts'

const intentShape = z.object({ text: z.string(), operations: z.array(z.looseObject({ kind: z.string() })) })

/** What the gate last took such a text for, as its log says. */
export function lastKind(gate: TestGate, text: string): string | undefined {
  const intents = gate.events().filter(({ type }) => type === 'intent')
  const found = intents.map(({ data }) => intentShape.parse(data)).findLast((intent) => intent.text === text)
  return found?.operations[0]?.kind
}

/** Runs it so that the second time may be remembered from the first, and says what it was taken for then. */
export async function runTwice(gate: TestGate, connection: AgentConnection, text: string): Promise<string | undefined> {
  for (let time = 0; time < 2; time += 1) expect(await connection.run(text)).toMatchObject({ sqlState: '00000' })
  return lastKind(gate, text)
}
