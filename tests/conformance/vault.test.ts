import { openVault, type VaultClient } from '../../packages/gateway/src/vault/vault-client.ts'
import { startObjectStore } from '../servers/object-store.ts'
import { describeVault, type VaultUnderTest } from './vault.ts'
import { startVault } from './vault-process.ts'

async function startOn(flags: readonly string[], stopStore: () => Promise<void>): Promise<VaultUnderTest> {
  let vault = await startVault(flags)
  let client: VaultClient = await openVault(vault)
  return {
    vault: client,
    restart: async () => {
      client.close()
      await vault.end()
      vault = await vault.again()
      client = await openVault(vault)
      return client
    },
    stop: async () => {
      client.close()
      await vault.remove()
      await stopStore()
    },
  }
}

describeVault('vault process on a local folder', () => startOn([], async () => {}))

describeVault('vault process on a bucket under Object Lock and a local folder', async () => {
  const server = await startObjectStore()
  const place = await server.makeBucket('copies')
  return await startOn(['--bucket', place, '--bucket-credential', server.credentialFile, '--folder-too'], () => server.stop())
})
