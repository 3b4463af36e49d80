import { openVault, type VaultClient } from '../../packages/gateway/src/vault/vault-client.ts'
import { describeVault } from './vault.ts'
import { startVault } from './vault-process.ts'

describeVault('vault process on a local folder', async () => {
  let vault = await startVault()
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
    },
  }
})
