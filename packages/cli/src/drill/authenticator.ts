import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { drillAaguid } from '@sallyport/core'

interface RegistrationAnswer {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly response: {
    readonly clientDataJSON: string
    readonly attestationObject: string
    readonly transports: readonly ['internal']
  }
}

interface AssertionAnswer {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly response: {
    readonly clientDataJSON: string
    readonly authenticatorData: string
    readonly signature: string
  }
}

/** Flags of authenticator data (WebAuthn §6.1): user present, user verified, attested credential data. */
const userPresent = 0x01
const userVerified = 0x04
const attested = 0x40

/** A passkey in software, for drills only: P-256, attestation `none`, counter 0. It signs exactly the challenge it is given. */
export class DrillAuthenticator {
  readonly #key: KeyObject
  readonly #point: { readonly x: Buffer; readonly y: Buffer }
  readonly #origin: string
  readonly #relyingParty: string
  readonly id = randomBytes(32)

  constructor(origin: string, relyingParty: string) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { x, y } = publicKey.export({ format: 'jwk' })
    if (x === undefined || y === undefined) throw new Error('a P-256 key has two coordinates')
    this.#key = privateKey
    this.#point = { x: Buffer.from(x, 'base64url'), y: Buffer.from(y, 'base64url') }
    this.#origin = origin
    this.#relyingParty = relyingParty
  }

  /** @param challenge base64url, as in the options */
  register(challenge: string): RegistrationAnswer {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(this.id.length)
    const data = Buffer.concat([
      this.#authenticatorData(userPresent | userVerified | attested),
      Buffer.from(drillAaguid.replaceAll('-', ''), 'hex'),
      length,
      this.id,
      this.#coseKey(),
    ])
    // {"fmt": "none", "attStmt": {}, "authData": bytes} in CBOR (RFC 8949)
    const attestationObject = Buffer.concat([
      Buffer.from([0xa3]),
      text('fmt'),
      text('none'),
      text('attStmt'),
      Buffer.from([0xa0]),
      text('authData'),
      bytes(data),
    ])
    return {
      id: this.id.toString('base64url'),
      rawId: this.id.toString('base64url'),
      type: 'public-key',
      response: {
        clientDataJSON: this.#clientData('webauthn.create', challenge),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['internal'],
      },
    }
  }

  /** @param challenge base64url, as in the options */
  assert(challenge: string): AssertionAnswer {
    const authenticatorData = this.#authenticatorData(userPresent | userVerified)
    const clientDataJSON = this.#clientData('webauthn.get', challenge)
    const hash = createHash('sha256').update(Buffer.from(clientDataJSON, 'base64url')).digest()
    const signature = sign('sha256', Buffer.concat([authenticatorData, hash]), this.#key)
    return {
      id: this.id.toString('base64url'),
      rawId: this.id.toString('base64url'),
      type: 'public-key',
      response: {
        clientDataJSON,
        authenticatorData: authenticatorData.toString('base64url'),
        signature: signature.toString('base64url'),
      },
    }
  }

  #clientData(type: string, challenge: string): string {
    return Buffer.from(JSON.stringify({ type, challenge, origin: this.#origin, crossOrigin: false })).toString('base64url')
  }

  #authenticatorData(flags: number): Buffer {
    const relyingParty = createHash('sha256').update(this.#relyingParty).digest()
    return Buffer.concat([relyingParty, Buffer.from([flags]), Buffer.alloc(4)])
  }

  /** COSE_Key of an ES256 key (RFC 9053 §7.1.1): {1: 2, 3: -7, -1: 1, -2: x, -3: y}. */
  #coseKey(): Buffer {
    return Buffer.concat([
      Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21]),
      bytes(this.#point.x),
      Buffer.from([0x22]),
      bytes(this.#point.y),
    ])
  }
}

function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(major << 5) | length])
  if (length < 256) return Buffer.from([(major << 5) | 24, length])
  return Buffer.from([(major << 5) | 25, length >> 8, length & 0xff])
}

function text(value: string): Buffer {
  return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
}

function bytes(value: Buffer): Buffer {
  return Buffer.concat([head(2, value.length), value])
}
