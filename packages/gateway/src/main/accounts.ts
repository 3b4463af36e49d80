import { wallClock as clock } from '../access/clock.ts'
import type { AccountSignIn } from '../control/account-ports.ts'
import { resolveOidc } from '../people-settings.ts'
import type { Foundations } from './foundations.ts'

/** Null: people sign in by passkey only. @throws SallyportError for a secret that cannot be had */
export async function bindAccounts({ config, store }: Foundations): Promise<AccountSignIn | null> {
  if (config.oidc === null) return null
  // Loaded only where it is used: a start is to be quick.
  const { openProvider } = await import('../identity/provider.ts')
  const provider = openProvider(await resolveOidc(config.oidc, config.directory), clock)
  return { ...provider, ...store.accounts, signIns: store.signIns }
}
