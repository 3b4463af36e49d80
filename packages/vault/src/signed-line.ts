import { canonicalJson, type Json } from '@sallyport/core'
import { verifySignature, type SignedDomain, type VaultKey } from './key.ts'
import { VaultFailure } from './failure.ts'

/** A signed document: one line of canonical JSON, one line with the signature in base64. The whole file is what its name is the hash of. */
export function writeSignedLine(key: VaultKey, domain: SignedDomain, content: Json): Buffer {
  const line = canonicalJson(content)
  return Buffer.from(`${line}\n${key.sign(domain, line)}\n`)
}

/**
 * The content of a signed document, once its signature and its canonical form are proven. One document has exactly one form of bytes.
 * @throws VaultFailure `damaged`
 */
export function readSignedLine(publicKey: string, domain: SignedDomain, bytes: Uint8Array): unknown {
  const [line, signature, rest, ...more] = decodeUtf8(bytes).split('\n')
  if (line === undefined || signature === undefined || rest !== '' || more.length > 0) throw damaged('is not two lines')
  if (!/^[A-Za-z0-9+/]{86}==$/.test(signature)) throw damaged('has no signature')
  if (Buffer.from(signature, 'base64').toString('base64') !== signature) throw damaged('has a signature in another form')
  if (!verifySignature(publicKey, domain, line, signature)) throw damaged('was not signed by this vault')
  return JSON.parse(line)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw damaged('is not UTF-8')
  }
}

function damaged(what: string): VaultFailure {
  return new VaultFailure('damaged', `A signed document ${what}.`)
}
