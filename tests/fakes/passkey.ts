import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'

/** What to get wrong on purpose. */
export interface Misdeeds {
  readonly origin?: string
  readonly rpId?: string
  readonly userVerified?: boolean
  readonly userPresent?: boolean
  readonly counter?: number
  readonly crossOrigin?: boolean
  readonly type?: string
  /** Who says which model it is. Absent: nobody. */
  readonly statement?: Statement
}

/** What an authenticator says of its own make, signed by a key of its maker's; by its own where there is no certificate. */
export interface Statement {
  readonly aaguid: string
  readonly certificates: readonly Buffer[]
  readonly key: KeyObject | null
}

/** An authenticator in software: it signs whatever it is told to, as a hostile one would. ES256, format "none". */
export class SoftwarePasskey {
  readonly credentialId = randomBytes(32).toString('base64url')
  readonly #privateKey: KeyObject
  readonly #publicKey: Buffer
  readonly #origin: string
  counter = 0

  constructor(origin: string) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#privateKey = privateKey
    this.#publicKey = encodeCoseKey(publicKey)
    this.#origin = origin
  }

  register(challenge: string, misdeeds: Misdeeds = {}): object {
    const id = Buffer.from(this.credentialId, 'base64url')
    const { statement } = misdeeds
    const model = Buffer.from((statement?.aaguid ?? '0'.repeat(32)).replaceAll('-', ''), 'hex')
    const attested = Buffer.concat([model, lengthOf(id), id, this.#publicKey])
    const authenticatorData = Buffer.concat([this.#header(misdeeds, 0x40), attested])
    const clientData = this.#clientData(misdeeds.type ?? 'webauthn.create', challenge, misdeeds)
    // {"fmt": "none", "attStmt": {}, "authData": bytes}
    const attestationObject = Buffer.concat([
      Buffer.from([0xa3]),
      cborText('fmt'),
      cborText(statement === undefined ? 'none' : 'packed'),
      cborText('attStmt'),
      statement === undefined ? Buffer.from([0xa0]) : this.#state(statement, authenticatorData, clientData),
      cborText('authData'),
      cborBytes(authenticatorData),
    ])
    const response = {
      clientDataJSON: clientData.toString('base64url'),
      attestationObject: attestationObject.toString('base64url'),
      transports: ['internal'],
    }
    return { id: this.credentialId, rawId: this.credentialId, type: 'public-key', response }
  }

  assert(challenge: string, misdeeds: Misdeeds = {}): object {
    this.counter = misdeeds.counter ?? this.counter + 1
    const authenticatorData = this.#header(misdeeds, 0)
    const clientData = this.#clientData(misdeeds.type ?? 'webauthn.get', challenge, misdeeds)
    const signature = sign(
      'sha256',
      Buffer.concat([authenticatorData, createHash('sha256').update(clientData).digest()]),
      this.#privateKey,
    )
    const response = {
      clientDataJSON: clientData.toString('base64url'),
      authenticatorData: authenticatorData.toString('base64url'),
      signature: signature.toString('base64url'),
    }
    return { id: this.credentialId, rawId: this.credentialId, type: 'public-key', response }
  }

  /** {"alg": -7, "sig": bytes, "x5c": [bytes, …]} (WebAuthn §8.2, packed) */
  #state({ certificates, key }: Statement, authenticatorData: Buffer, clientData: Buffer): Buffer {
    const signed = Buffer.concat([authenticatorData, createHash('sha256').update(clientData).digest()])
    const signature = sign('sha256', signed, key ?? this.#privateKey)
    const chain = [cborText('x5c'), Buffer.from([0x80 + certificates.length]), ...certificates.map(cborBytes)]
    return Buffer.concat([
      Buffer.from([certificates.length === 0 ? 0xa2 : 0xa3]),
      cborText('alg'),
      Buffer.from([0x26]),
      cborText('sig'),
      cborBytes(signature),
      ...(certificates.length === 0 ? [] : chain),
    ])
  }

  #header(misdeeds: Misdeeds, flags: number): Buffer {
    const present = misdeeds.userPresent === false ? 0 : 0x01
    const verified = misdeeds.userVerified === false ? 0 : 0x04
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(this.counter)
    const rpIdHash = createHash('sha256')
      .update(misdeeds.rpId ?? 'localhost')
      .digest()
    return Buffer.concat([rpIdHash, Buffer.from([flags | present | verified]), counter])
  }

  #clientData(type: string, challenge: string, misdeeds: Misdeeds): Buffer {
    return Buffer.from(
      JSON.stringify({ type, challenge, origin: misdeeds.origin ?? this.#origin, crossOrigin: misdeeds.crossOrigin ?? false }),
    )
  }
}

/** {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y} */
function encodeCoseKey(publicKey: KeyObject): Buffer {
  const { x, y } = publicKey.export({ format: 'jwk' })
  const head = Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21])
  return Buffer.concat([
    head,
    cborBytes(Buffer.from(x ?? '', 'base64url')),
    Buffer.from([0x22]),
    cborBytes(Buffer.from(y ?? '', 'base64url')),
  ])
}

function cborText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x60 + text.length]), Buffer.from(text)])
}

function cborBytes(bytes: Buffer): Buffer {
  const head = bytes.length < 256 ? Buffer.from([0x58, bytes.length]) : Buffer.concat([Buffer.from([0x59]), lengthOf(bytes)])
  return Buffer.concat([head, bytes])
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return length
}
