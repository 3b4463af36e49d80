import { randomBytes } from 'node:crypto'
import type { Store } from '../store.ts'
import { openAccounts } from './accounts.ts'
import { openBudgets } from './budgets.ts'
import { openClaims } from './claims.ts'
import { openConnection } from './connection.ts'
import { openEar, type ThreadEar } from './ear.ts'
import { DatabaseClock } from './database-clock.ts'
import { openDeferrals } from './deferrals.ts'
import { openFacts } from './facts.ts'
import { openHandles } from './handles.ts'
import { openKills } from './kills.ts'
import { Lease, machineStopwatch, type Stopwatch } from './lease.ts'
import { openNarrowing } from './narrowing.ts'
import { openPeople } from './people.ts'
import { openQuarantines } from './quarantines.ts'
import { openRequests } from './requests.ts'
import { openRoll } from './roll.ts'
import { migrate } from './schema.ts'
import { openSignIns } from './sign-ins.ts'
import { openStanding } from './standing.ts'
import { SwitchLine } from './switch-line.ts'
import { openUsedTokens } from './used-tokens.ts'
import { findEnded, openVerdictWaiters } from './verdict-waiters.ts'

/** A gate that cannot renew for so long stops everything; a kill waits no longer than this for a gate that does not answer. */
const leaseMs = 4_000
const renewEveryMs = 500

export interface SharedStoreSettings {
  /** The connection string, with its password. */
  readonly url: string
  /** This gate's name for good. */
  readonly gate: string
  readonly report: (problem: string) => void
  readonly leaseMs?: number
  readonly renewEveryMs?: number
  /** Only a test gives another. */
  readonly stopwatch?: Stopwatch
}

/** A store that any number of gates share (DESIGN §10). Resolves when this gate stands among them. */
export async function openSharedStore(settings: SharedStoreSettings): Promise<Store> {
  const { gate, report, stopwatch = machineStopwatch } = settings
  const life = randomBytes(8).toString('hex')
  const connection = openConnection(settings.url, gate)
  const clock = new DatabaseClock(stopwatch)
  const waiters = openVerdictWaiters((ids) => findEnded(connection, ids))
  const requests = openRequests(connection, gate, waiters)
  const lengthMs = settings.leaseMs ?? leaseMs
  const line = new SwitchLine(connection, {
    gate,
    life,
    leaseMs: lengthMs,
    renewEveryMs: settings.renewEveryMs ?? renewEveryMs,
    lease: new Lease(lengthMs, stopwatch),
    clock,
    onVerdict: (id) => waiters.wake(id),
    onReturn: () => requests.giveBackDoubtful(),
    report,
  })
  const facts = openFacts(connection)
  let ear: ThreadEar | null = null
  const close = async (): Promise<void> => {
    waiters.close()
    await ear?.close()
    facts.close()
    await line.close()
    await connection.close()
  }
  try {
    await migrate(connection)
    await line.open()
  } catch (error) {
    await close()
    throw error
  }
  const handles = openHandles(connection)
  const kills = openKills(connection, line, { callOut: (hint) => ear?.callOut(hint), gates: () => ear?.pulls ?? null })
  const people = openPeople(connection)
  const claims = openClaims(connection, gate, life)
  return {
    clock,
    requests,
    budgets: openBudgets(connection),
    people,
    deferrals: openDeferrals(connection, clock, handles, claims),
    usedTokens: openUsedTokens(connection),
    accounts: openAccounts(connection, people),
    signIns: openSignIns(connection),
    roll: openRoll(connection, { gate, life, leaseMs: lengthMs }),
    facts,
    view: (names) => facts.view(names),
    handles,
    kills,
    standing: (policyHash) => openStanding(connection, line, clock, policyHash),
    quarantines: openQuarantines(connection),
    narrowing: openNarrowing(connection, kills, handles, people),
    claim: (name, forMs) => claims.take(name, forMs),
    attend: (hearer) => {
      line.attend(hearer)
      ear = openEar({ url: settings.url, gate }, (message) => line.take(message))
      return { hear: () => hearBoth(line, ear) }
    },
    close,
  }
}

function hearBoth(line: SwitchLine, ear: ThreadEar | null): void {
  ear?.hear()
  line.hear()
}
