import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { SallyportError } from '@sallyport/core'

export interface AuthorityTime {
  nowMs(): number
}

/** What a client sees instead of the host it wanted. */
export interface IssuedLeaf {
  /** PEM. */
  readonly key: string
  readonly certificate: string
  readonly renewAtMs: number
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const dayMs = 86_400_000
const authorityMs = 730 * dayMs
const leafMs = 7 * dayMs
/** Clients' clocks may be behind. */
const backdatedMs = 3_600_000
const leavesMax = 1_000

/** A new authority: its key and certificate, PEM. */
export async function makeAuthority(nowMs: number): Promise<{ readonly key: string; readonly certificate: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: makeSerial(),
    // Told apart from an earlier one by its name too: some clients look authorities up by it.
    name: `CN=Sallyport gate ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(nowMs - backdatedMs),
    notAfter: new Date(nowMs + authorityMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { key: await writeKey(keys.privateKey), certificate: certificate.toString('pem') }
}

/** Issues a certificate for each host on demand. All share one key, made at start and never written down. */
export class Authority {
  readonly certificate: string
  readonly #signer: X509Certificate
  readonly #signingKey: webcrypto.CryptoKey
  readonly #time: AuthorityTime
  readonly #leafKeys: webcrypto.CryptoKeyPair
  readonly #leafKey: string
  readonly #leaves = new Map<string, Promise<IssuedLeaf>>()

  private constructor(
    certificate: string,
    signingKey: webcrypto.CryptoKey,
    leafKeys: webcrypto.CryptoKeyPair,
    leafKey: string,
    time: AuthorityTime,
  ) {
    this.certificate = certificate
    this.#signer = new X509Certificate(certificate)
    this.#signingKey = signingKey
    this.#leafKeys = leafKeys
    this.#leafKey = leafKey
    this.#time = time
  }

  static async open(key: string, certificate: string, time: AuthorityTime): Promise<Authority> {
    const signingKey = await webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(key), algorithm, false, ['sign'])
    const leafKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    return new Authority(certificate, signingKey, leafKeys, await writeKey(leafKeys.privateKey), time)
  }

  /** The same leaf for the same host until it is time to renew. */
  async issue(host: string): Promise<IssuedLeaf> {
    const known = await this.#leaves.get(host)
    if (known !== undefined && known.renewAtMs > this.#time.nowMs()) return known
    if (this.#leaves.size >= leavesMax) this.#leaves.clear()
    const issuing = this.#make(host)
    this.#leaves.set(host, issuing)
    issuing.catch(() => this.#leaves.delete(host))
    return issuing
  }

  async #make(host: string): Promise<IssuedLeaf> {
    const nowMs = this.#time.nowMs()
    const untilMs = Math.min(nowMs + leafMs, this.#signer.notAfter.getTime())
    if (untilMs <= nowMs)
      throw new SallyportError(
        'internal',
        "The gate's certificate authority has expired.",
        'The connection was not opened.',
        'Restart the gate: it makes a new one.',
      )
    const certificate = await X509CertificateGenerator.create({
      serialNumber: makeSerial(),
      subject: 'CN=Sallyport intercepted host',
      issuer: this.#signer.subject,
      notBefore: new Date(nowMs - backdatedMs),
      notAfter: new Date(untilMs),
      signingAlgorithm: algorithm,
      publicKey: this.#leafKeys.publicKey,
      signingKey: this.#signingKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([{ type: 'dns', value: host }]),
        await SubjectKeyIdentifierExtension.create(this.#leafKeys.publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#signer),
      ],
    })
    return { key: this.#leafKey, certificate: certificate.toString('pem'), renewAtMs: nowMs + (untilMs - nowMs) / 2 }
  }
}

async function writeKey(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

/** 127 random bits, positive (RFC 5280 §4.1.2.2). */
function makeSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
