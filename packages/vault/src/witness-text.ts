import { type Checkpoint, decodeBase64, encodeBase64 } from '@sallyport/core'
import { VaultFailure } from './failure.ts'
import { verifySignature, type VaultKey } from './key.ts'

const proofHashesMax = 63
const hashBytes = 32

export interface WitnessRequest {
  readonly oldSize: number
  readonly proof: readonly Uint8Array[]
  readonly note: string
}

/** The body of an add-checkpoint request (C2SP tlog-witness): `old SIZE`, proof hashes, a blank line, the checkpoint. */
export function parseWitnessRequest(text: string): WitnessRequest {
  const split = text.indexOf('\n\n')
  const [first = '', ...hashes] = split < 0 ? [] : text.slice(0, split).split('\n')
  const size = /^old (0|[1-9]\d{0,15})$/.exec(first)?.[1]
  if (size === undefined || !Number.isSafeInteger(Number(size)))
    throw new VaultFailure('bad_request', 'The request does not begin with `old SIZE`.')
  if (hashes.length > proofHashesMax)
    throw new VaultFailure('bad_request', `A consistency proof has ${proofHashesMax} hashes at most.`)
  return { oldSize: Number(size), proof: hashes.map(decodeHash), note: text.slice(split + 2) }
}

/** `SIZE ROOT SIGNATURE`: one line of the list of what was cosigned. */
export function writeHistoryLine(key: VaultKey, checkpoint: Checkpoint): string {
  const line = `${checkpoint.size} ${encodeBase64(checkpoint.root)}`
  return `${line} ${key.sign('cosigned', line)}\n`
}

/** @throws VaultFailure `damaged` */
export function readHistoryLine(publicKey: string, text: string): { readonly size: number; readonly root: string } {
  const [, line, size, root, signature] = /^((\d{1,16}) ([A-Za-z0-9+/]{43}=)) ([A-Za-z0-9+/]{86}==)$/.exec(text) ?? []
  if (
    line === undefined ||
    size === undefined ||
    root === undefined ||
    signature === undefined ||
    !verifySignature(publicKey, 'cosigned', line, signature)
  ) {
    throw new VaultFailure('damaged', 'the list of what was cosigned is damaged')
  }
  return { size: Number(size), root }
}

/** The last whole line of the list; a torn one at the end is passed over. */
export function parseHistoryEnd(publicKey: string, text: string): { readonly size: number; readonly root: string } | null {
  const last =
    text
      .slice(0, Math.max(0, text.lastIndexOf('\n')))
      .split('\n')
      .at(-1) ?? ''
  return last === '' ? null : readHistoryLine(publicKey, last)
}

function decodeHash(text: string): Uint8Array {
  const hash = decodeBase64(text)
  if (hash?.length !== hashBytes)
    throw new VaultFailure('bad_request', 'A line of the consistency proof is not base64 of 32 bytes.')
  return hash
}
