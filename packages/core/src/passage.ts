import type { Asked, Attendance } from './asked.ts'
import { sha256Hex, type Json } from './canonical.ts'
import type { Connector } from './connector.ts'
import type { EventType } from './event.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { ResolvedOperation } from './operation.ts'
import type { PolicyEngine } from './policy/engine.ts'
import { holdsSecret } from './question.ts'
import type { Standing } from './standing.ts'

/** Statement text on the log is bounded, in bytes as written there; its digest is always whole. */
const textOnLogMax = 12_288

/** One request on its way through the pipeline. */
export interface Passage {
  readonly asked: Asked
  readonly attendance: Attendance
  readonly connector: Connector
  /** Of what concerns this agent here: clearances are bound to it. */
  readonly killEpoch: number
  /** Of the whole switch: what is remembered is bound to it. */
  readonly switchEpoch: number
  readonly policy: PolicyEngine
  /** Scope beyond the configuration's that people gave for a time. */
  readonly standing: Standing
  readonly deadlineMs: number
}

/** Puts a step of this passage on the log; resolves once it is durable. */
export async function noteEvent(
  ports: GovernPorts,
  passage: Passage,
  type: EventType,
  data: { readonly [key: string]: Json },
): Promise<void> {
  const { session, trace } = passage.asked
  const { agent, owner } = session.subject
  // Whose it is and who acts, of whatever is done by a handle that was narrowed (`sub` and `act` of RFC 8693).
  const act = session.narrowing?.act
  const whose = act === undefined ? data : { ...data, act, sub: owner }
  const said = trace === undefined ? whose : { ...whose, trace }
  await ports.log.append({ type, atMs: ports.clock.nowMs(), session: session.id, agent, data: said })
}

/** The agent's text as the log keeps it: bounded, and withheld where it may hold a secret (a password in ALTER ROLE). */
export function textForLog(passage: Passage, operations: readonly ResolvedOperation[]): string {
  const { text } = passage.asked
  if (holdsSecret(operations)) return '(withheld: it may hold a secret; bytesSha256 stands for it)'
  const whole = text.toWellFormed()
  const kept = cutToBytes(whole)
  return kept.length === whole.length
    ? whole
    : `${kept}… (${whole.length} characters in all, SHA-256 of the whole text ${sha256Hex(whole)})`
}

/** As long as it is on the log: a control character takes six bytes there, and an event that does not fit would leave no mark at all. */
function cutToBytes(text: string): string {
  if (text.length * 6 <= textOnLogMax) return text
  let bytes = 0
  let length = 0
  for (const character of text) {
    bytes += Buffer.byteLength(JSON.stringify(character)) - 2
    if (bytes > textOnLogMax) break
    length += character.length
  }
  return text.slice(0, length)
}
