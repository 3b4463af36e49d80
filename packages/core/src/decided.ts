import type { Refusal } from './asked.ts'
import type { Deny } from './decide.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { ResolvedOperation } from './operation.ts'
import { noteEvent, textForLog, type Passage } from './passage.ts'
import { operationsJson } from './question.ts'

/** Refuses what was decided against, on the log first. */
export async function deny(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  digest: string,
  denial: Deny,
): Promise<Refusal> {
  const guards = denial.reasons.map(({ id }) => id)
  await noteEvent(ports, passage, 'decision', {
    outcome: 'deny',
    code: denial.code,
    digest,
    guards,
    why: denial.message,
    text: textForLog(passage, operations),
    operations: operationsJson(operations),
  })
  return {
    outcome: 'refused',
    code: denial.code,
    message: denial.message,
    notDone: 'Nothing was run.',
    next: denial.next,
    guards,
  }
}

/** What is no read and may be prepared is on the log before the upstream sees it: parsing a text can run code of the database's (a domain's CHECK). */
export function noteConsidered(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  digest: string,
): Promise<void> {
  return noteEvent(ports, passage, 'decision', {
    outcome: 'permit',
    why: 'may be prepared; nothing ran',
    digest,
    text: textForLog(passage, operations),
    operations: operationsJson(operations),
  })
}
