import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '@sallyport/core'
import { openAccounts } from './accounts.ts'
import { openBudgets } from './budgets.ts'
import { openDeferrals } from './deferrals.ts'
import { openHandles } from './handles.ts'
import { openKills } from './kills.ts'
import { openMeta } from './meta.ts'
import { openNarrowing } from './narrowing.ts'
import { openPeople } from './people.ts'
import { openQuarantines } from './quarantines.ts'
import { openRequests } from './requests.ts'
import { keepSignIns } from './sign-ins.ts'
import { openStanding } from './standing.ts'
import { openUsedTokens } from './used-tokens.ts'
import type { Store } from './store.ts'

/** One gate's own store, in a file of its state folder. */
export function openEmbeddedStore(database: DatabaseSync, clock: Clock): Store {
  return {
    clock,
    requests: openRequests(database),
    budgets: openBudgets(database, clock),
    people: openPeople(database),
    deferrals: openDeferrals(database, clock),
    accounts: openAccounts(database),
    signIns: keepSignIns(),
    usedTokens: openUsedTokens(database),
    facts: openMeta(database),
    view: () => openMeta(database),
    handles: openHandles(database),
    kills: openKills(database),
    standing: (policyHash) => openStanding(database, clock, policyHash),
    quarantines: openQuarantines(database),
    narrowing: openNarrowing(database),
    roll: null,
    claim: () => true,
    attend: () => null,
    close: () => undefined,
  }
}
