export { serve, type RunningVault, type ServeSettings } from './serve.ts'
export { openFolder, type VaultFolder } from './vault-folder.ts'
export { verifyFolder, type Damage, type Report } from './verify.ts'
export { listFolder, restoreSnapshot, type Listing, type RestoreReport } from './restore.ts'
