import type { Quarantine, SnapshotContent, Upstream } from './connector.ts'
import { canBeHadFromWal, type Permit } from './decide.ts'
import { SallyportError } from './error.ts'
import type { Grant } from './grant.ts'
import type { GovernPorts } from './govern-ports.ts'
import type { ResolvedOperation } from './operation.ts'
import { noteEvent, type Passage } from './passage.ts'
import { worstCopy } from './question.ts'
import type { Snapshot } from './snapshot.ts'

/**
 * Makes what the obligation asks for: a copy, sealed, read back, compared; and, where the upstream is protected continuously, a restore point, while
 * the locks of the copy are held. Null where a restore point is all there can be. @throws SallyportError; then nothing may run
 */
export async function protect(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  digest: string,
  grant: Grant | null,
): Promise<Snapshot | null> {
  const { upstream } = passage.asked
  const isProtected = (ports.protection?.state(upstream.name) ?? null) !== null
  const fromWal = operations.filter((operation) => canBeHadFromWal(operation, { restorePoint: isProtected }))
  const copied = operations.filter((operation) => !fromWal.includes(operation))
  const isCopied = copied.some(({ copy }) => copy.kind !== 'none') || fromWal.length === 0
  const snapshot = isCopied ? await makeCopy(ports, passage, copied, digest, grant) : null
  // What changes few rows is undone by its copy alone, and should not wait.
  if (isProtected && (fromWal.length > 0 || snapshot?.kind === 'tables')) await markPoint(ports, passage, digest)
  return snapshot
}

/** A restore point, durable in the vault. */
async function markPoint(ports: GovernPorts, passage: Passage, digest: string): Promise<void> {
  const { protection, clock, random } = ports
  const { name } = passage.asked.upstream
  if (protection === undefined) return
  const point = await protection.mark(name, `sallyport-${String(clock.nowMs()).padStart(13, '0')}-${random.hex(4)}`)
  await noteEvent(ports, passage, 'restore_point', { ...point, upstream: name, digest })
}

async function makeCopy(
  ports: GovernPorts,
  passage: Passage,
  operations: readonly ResolvedOperation[],
  digest: string,
  grant: Grant | null,
): Promise<Snapshot> {
  const { upstream } = passage.asked
  const copy = passage.connector.snapshot?.bind(passage.connector)
  if (copy === undefined) {
    throw new SallyportError(
      'no_copy_possible',
      `Connector ${passage.connector.id} can make no copy.`,
      'Nothing was run.',
      'Ask for an operation that needs none.',
    )
  }
  const about = { upstream: upstream.name, upstreamIdentity: upstream.identity, digest, retainMs: ports.settings().retainMs }
  let snapshot: Snapshot
  const moved: Quarantine[] = []
  try {
    snapshot = await ports.vault.seal(about, async (seal) => {
      const content = await copy(operations, upstream, seal)
      checkBounds(ports, passage, content, grant)
      if (content.quarantine) moved.push(content.quarantine)
      return content
    })
    for (const one of moved) {
      await ports.quarantines.keep(upstream.name, one)
      await passage.connector.moveAway?.(operations, upstream, one)
    }
  } catch (error) {
    await noteEvent(ports, passage, 'snapshot.failed', {
      digest,
      code: error instanceof SallyportError ? error.code : 'copy_failed',
    })
    throw error
  }
  const { id, kind, rows, bytes, checksums, retainUntilMs } = snapshot
  await noteEvent(ports, passage, 'snapshot.sealed', {
    snapshot: id,
    digest,
    kind,
    rows,
    bytes,
    checksums: { ...checksums },
    retainUntilMs,
    ...(moved.length === 0 ? {} : { quarantine: moved.map(({ id }) => id) }),
  })
  return snapshot
}

/** What was counted under lock must not be more than what was allowed before. */
function checkBounds(ports: GovernPorts, passage: Passage, content: SnapshotContent, grant: Grant | null): void {
  if (passage.asked.upstream.environment !== 'production' && grant === null) return
  const bound = grant === null ? ports.settings().rowsWithoutPrompt : grant.rowsMax
  if (bound === null || content.rows <= bound) return
  throw new SallyportError(
    'limit_exceeded',
    `This would change ${content.rows} rows, more than the ${bound} that were allowed.`,
    'Nothing was run.',
    'Ask again: people will see the new number.',
  )
}

/** Rows changed so far in the transaction that the statement will run in; null when this connector does not count. */
export async function countBefore(passage: Passage): Promise<number | null> {
  const { access } = passage.asked.upstream
  if (passage.connector.count === undefined || access.kind !== 'sql') return null
  await access.hold('')
  return passage.connector.count(passage.asked.upstream)
}

/** What cannot run in a transaction is not held in one. */
export function mayBeHeld(operations: readonly ResolvedOperation[]): boolean {
  return operations.some(({ context }) => context['runsInTransaction'] !== false)
}

/** Rows not copied, or beyond what was approved, must not change. */
export function boundRowsChanged(
  operations: readonly ResolvedOperation[],
  snapshot: Snapshot | null,
  grant: Grant | null,
  permit: Permit,
): number | null {
  const copied = worstCopy(operations) === 'rows' && snapshot !== null ? snapshot.rows : null
  const allowed = grant === null ? null : grant.rowsMax
  if (copied === null && allowed === null) return null
  if (!permit.promptless && copied === null) return allowed
  return Math.min(copied ?? Number.MAX_SAFE_INTEGER, allowed ?? Number.MAX_SAFE_INTEGER)
}

/** What a held statement was cleared with. */
export interface HeldStatement {
  readonly passage: Passage
  readonly operations: readonly ResolvedOperation[]
  readonly rowsBefore: number | null
  readonly rowsMax: number | null
}

/** After a held statement ran, before its transaction commits. @throws SallyportError; then it must be rolled back */
export async function settleHeld({ passage, operations, rowsBefore, rowsMax }: HeldStatement, upstream: Upstream): Promise<void> {
  const { connector } = passage
  if (rowsMax !== null && rowsBefore !== null && connector.count !== undefined) {
    const changed = (await connector.count(upstream)) - rowsBefore
    if (changed > rowsMax)
      throw new SallyportError(
        'limit_exceeded',
        `It changed ${changed} rows, more than the ${rowsMax} that were allowed and copied.`,
        'It was rolled back.',
        'Ask again: people will see the new number.',
      )
  }
  await connector.confirm?.(operations, upstream)
}
