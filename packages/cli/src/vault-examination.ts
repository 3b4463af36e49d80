import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findSandbox, findScratchUser } from '@sallyport/connectors'
import { toFailure } from './failure.ts'
import { good, note, type Finding } from './finding.ts'
import { readVaultFlags } from './vault-flags.ts'
import { findVaultUser, vaultUserName } from './vault-user.ts'

/** What the copies' places are worth, and what would be lost with which disk. */
export function examineVault(stateDirectory: string, configuration: string): readonly Finding[] {
  return [...examineFolder(stateDirectory), ...examinePlaces(configuration), ...examineSandbox()]
}

function examineFolder(stateDirectory: string): readonly Finding[] {
  if (process.getuid?.() !== 0) return []
  if (findVaultUser(stateDirectory) === null) {
    const what = 'The vault runs as the gate’s own user: a gate that was broken into can delete copies by going around the vault.'
    return [note('vault', what, `useradd --system ${vaultUserName}, with the state where that user can get to it`)]
  }
  const manifests = join(stateDirectory, 'vault', 'manifests')
  if (!existsSync(manifests)) return []
  if (isFastened(manifests)) {
    const what = 'Copies in the vault’s folder are immutable: nobody but root with CAP_LINUX_IMMUTABLE can remove one.'
    return [good('vault', what)]
  }
  const what =
    'Copies in the vault’s folder are not immutable: the vault’s own user could delete them, and so could root by a slip.'
  return [note('vault', what, 'Put the state on ext4, xfs or btrfs and allow CAP_LINUX_IMMUTABLE, or keep copies in a bucket')]
}

/** Whether entries can only be added to a folder: the vault fastens files together with it. */
function isFastened(folder: string): boolean {
  try {
    const flags = execFileSync('lsattr', ['-d', '--', folder], { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' })
    return flags.split(' ')[0]?.includes('a') === true
  } catch {
    return false
  }
}

function examinePlaces(configuration: string): readonly Finding[] {
  if (!existsSync(configuration)) return []
  try {
    const { stores, serve } = readVaultFlags(configuration)
    const buckets = stores.filter((flag) => flag.startsWith('--bucket='))
    const hasRecovery = serve.some((flag) => flag.startsWith('--recovery-recipient='))
    const findings: Finding[] = []
    if (buckets.length === 0) {
      const what = 'Copies lie on this machine only: they are lost with its disk, or to whoever is root on it.'
      findings.push(note('copies', what, 'Name a bucket with Object Lock under `vault: buckets:` (docs/how-to/vault-bucket.md)'))
    } else {
      const places = `${buckets.length} ${buckets.length === 1 ? 'bucket' : 'buckets'} under Object Lock`
      findings.push(
        good('copies', `Every copy goes to ${places}${stores.includes('--folder-too') ? ' and to the vault’s folder' : ''}.`),
      )
    }
    if (!hasRecovery) {
      const what = 'There is no recovery recipient: when the vault’s key is lost with its disk, no copy can be read any more.'
      findings.push(note('recovery', what, 'sallyport vault recovery-pair, and `vault: recovery:` in the configuration'))
    }
    return findings
  } catch (error) {
    return [note('copies', `What the configuration says of the vault cannot be read: ${toFailure(error).message}`, null)]
  }
}

/** A scratch server that proves a copy runs code of the database it proves. What this machine lets whoever asks keep it from. */
function examineSandbox(): readonly Finding[] {
  const owner = findScratchUser()
  const { kind, isKept } = findSandbox(owner)
  if (isKept && kind === 'other user') {
    const what = 'Scratch servers of drills run as a user without rights, without network, and see no process but their own.'
    return [good('drills', what)]
  }
  if (isKept) {
    const what =
      'Scratch servers of drills run without network and see no process but their own, but as the gate’s user: code in a copied database could read the gate’s files.'
    return [note('drills', what, 'Start the gate as root: it then uses a user without rights')]
  }
  const whom =
    owner === null
      ? 'as the gate’s own user, with the network: code in a copied database could act as the gate'
      : 'with the network'
  return [
    note(
      'drills',
      `Scratch servers of drills run ${whom}.`,
      'Allow namespaces (unshare of util-linux), or start the gate as root',
    ),
  ]
}
