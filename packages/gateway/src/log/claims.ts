import { join } from 'node:path'
import {
  formatVerifierKey,
  isCosigned,
  keysUpTo,
  type LogKey,
  type NoteSigner,
  openCheckpoint,
  SallyportError,
  type Witness,
} from '@sallyport/core'
import { type FileSystem, readWhole, replaceFile } from './file-system.ts'
import { checkpointPaths } from './publisher.ts'
import { readRotations } from './rotations.ts'
import { type Claim, openSigned, ownClaim, readCheckpointFile, refuseToOpen } from './recovery.ts'

/** Where the log lies and who speaks for it. */
export interface ClaimSettings {
  readonly directory: string
  readonly signer: NoteSigner
  readonly witness: Witness | null
  readonly further?: { readonly witnesses: readonly Witness[] }
  readonly report: (problem: string) => void
  readonly witnessTimeoutMs: number
}

/** What was promised about this log, and the checkpoints to go on from. */
export interface Claims {
  readonly claims: readonly Claim[]
  readonly own: { readonly size: number; readonly text: string } | null
  readonly witnessed: { readonly size: number; readonly text: string } | null
}

/** Everything that was ever promised about this log: its own checkpoint, the last cosigned one kept here, and what the witness itself holds. */
export async function readClaims(
  { directory, signer, witness, witnessTimeoutMs, report }: ClaimSettings,
  system: FileSystem,
): Promise<Claims> {
  const paths = checkpointPaths(directory)
  const keys = keysUpTo(signer.key, await readRotations(system, directory))
  const own = await readCheckpointFile(system, paths.own, keys)
  const kept = await readCheckpointFile(system, paths.witnessed, keys)
  const held = witness ? await askWitness(witness, signer, keys, witnessTimeoutMs) : null
  const newest = [kept, held].reduce(
    (best, one) => (one && one.checkpoint.size >= (best?.checkpoint.size ?? 0) ? one : best),
    null,
  )
  const claims = [
    { opened: own, by: ownClaim },
    { opened: kept, by: 'the last witnessed checkpoint' },
    { opened: held, by: 'the witness' },
  ].flatMap(({ opened, by }) => (opened ? [{ checkpoint: opened.checkpoint, by }] : []))
  if (witness && kept && !held) report(`The witness has forgotten this log: it cosigned ${kept.checkpoint.size} entries once.`)
  return { claims, own: withSize(own), witnessed: withSize(newest) }
}

function withSize(opened: { readonly text: string; readonly checkpoint: { readonly size: number } } | null): Claims['own'] {
  return opened && { size: opened.checkpoint.size, text: opened.text }
}

async function askWitness(
  witness: Witness,
  signer: NoteSigner,
  keys: readonly LogKey[],
  timeoutMs: number,
): Promise<ReturnType<typeof openSigned> | null> {
  let text: string | null
  try {
    text = await witness.latest(signer.key.name, AbortSignal.timeout(timeoutMs))
  } catch (error) {
    throw new SallyportError(
      'vault_unavailable',
      'The witness of the log cannot be asked, so it is not known whether this log is the newest.',
      'The log was not opened and nothing was changed.',
      'Start the vault first.',
      { cause: error },
    )
  }
  if (text === null) return null
  const opened = openSigned(text, keys, 'the witness')
  if (!isCosigned(openCheckpoint(text, [witness.key]).verdict))
    throw refuseToOpen(
      "The witness's checkpoint is not cosigned by its own key.",
      'Check that the vault in the configuration is the one this gate was set up with.',
    )
  return opened
}

/** For whoever verifies the log with nothing else at hand; keys from elsewhere beat these. */
export async function writeKeys({ directory, signer, witness, further }: ClaimSettings, system: FileSystem): Promise<void> {
  const keys = [signer.key, ...(witness ? [witness.key] : []), ...(further?.witnesses ?? []).map(({ key }) => key)]
  const text = Buffer.from(keys.map((key) => `${formatVerifierKey(key)}\n`).join(''))
  const present = await readWhole(system, join(directory, 'keys'), 64 * 1024)
  if (present?.equals(text) !== true) await replaceFile(system, directory, 'keys', text)
}
