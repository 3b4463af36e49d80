import { createHash, createPublicKey, verify } from 'node:crypto'

/** RFC 8785 for what the log holds, written without the project's own: whoever checks need not trust that. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1))
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(',')}}`
}

export function sha256(bytes: Uint8Array | string): Buffer {
  return createHash('sha256').update(bytes).digest()
}

export interface Assertion {
  readonly clientDataJSON: string
  readonly authenticatorData: string
  readonly signature: string
}

/** WebAuthn §7.2 by hand: the key that is enrolled signed exactly this challenge, on this page, with its person verified. */
export function isSignedBy(
  publicKey: string,
  { clientDataJSON, authenticatorData, signature }: Assertion,
  challengeHex: string,
  origin: string,
): boolean {
  const clientData = Buffer.from(clientDataJSON, 'base64url')
  const data = Buffer.from(authenticatorData, 'base64url')
  const said: unknown = JSON.parse(clientData.toString('utf8'))
  const expected = { type: 'webauthn.get', challenge: Buffer.from(challengeHex, 'hex').toString('base64url'), origin }
  const fits =
    typeof said === 'object' &&
    said !== null &&
    Object.entries(expected).every(([name, value]) => Object.entries(said).some(([key, one]) => key === name && one === value))
  const flags = data[32] ?? 0
  const isVerified = (flags & 0x05) === 0x05 && data.subarray(0, 32).equals(sha256('localhost'))
  const { hash, key } = readCoseKey(publicKey)
  return fits && isVerified && verify(hash, Buffer.concat([data, sha256(clientData)]), key, Buffer.from(signature, 'base64url'))
}

interface VerifyingKey {
  readonly hash: 'sha256' | null
  readonly key: ReturnType<typeof createPublicKey>
}

/** COSE_Key (RFC 9053 §7) of ES256 or EdDSA, each in its one canonical form: what software and browsers choose. */
function readCoseKey(publicKey: string): VerifyingKey {
  const bytes = Buffer.from(publicKey, 'base64url')
  const part = (from: number): string => bytes.subarray(from, from + 32).toString('base64url')
  if (bytes.length === 77 && bytes.toString('hex', 0, 10) === 'a5010203262001215820')
    return { hash: 'sha256', key: createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: part(10), y: part(45) } }) }
  if (bytes.length === 42 && bytes.toString('hex', 0, 10) === 'a4010103272006215820')
    return { hash: null, key: createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: part(10) } }) }
  throw new Error(`a key of another kind: ${bytes.toString('hex')}`)
}

/** RFC 6962 §2.1.1, as its recursive definition is read from the leaf up (RFC 9162 §2.1.3.2). */
export function isIncluded(entry: Uint8Array, index: number, size: number, proof: readonly Buffer[], root: Uint8Array): boolean {
  let hash = sha256(Buffer.concat([Buffer.from([0]), entry]))
  let [place, last] = [index, size - 1]
  for (const other of proof) {
    if (last === 0) return false
    if (place % 2 === 1 || place === last) {
      hash = sha256(Buffer.concat([Buffer.from([1]), other, hash]))
      while (place % 2 === 0 && place !== 0) {
        place = Math.floor(place / 2)
        last = Math.floor(last / 2)
      }
    } else hash = sha256(Buffer.concat([Buffer.from([1]), hash, other]))
    place = Math.floor(place / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && hash.equals(root)
}
