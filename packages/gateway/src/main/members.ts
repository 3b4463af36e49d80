import type { FindMembers } from '../approval-settings.ts'
import type { Config } from '../config.ts'
import type { Store } from '../store/store.ts'

/**
 * Who is in a group at the team's provider: enrolled people whose account there they connected with a passkey, as it said at their last sign-in, and only
 * for as long as `people.oidc.groups.for` says. Whoever cannot be shown to be a member is none.
 */
export function membersAt({ oidc }: Pick<Config, 'oidc'>, { accounts, clock }: Pick<Store, 'accounts' | 'clock'>): FindMembers {
  const said = oidc?.groups
  if (oidc === null || said === undefined) return () => []
  return (group) => accounts.membersOf(oidc.issuer, group, clock.nowMs(), said.for)
}
