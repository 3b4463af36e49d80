import 'reflect-metadata'
import { BasicConstraintsExtension, Extension, X509CertificateGenerator, type X509Certificate } from '@peculiar/x509'
import { KeyObject, webcrypto } from 'node:crypto'
import type { Statement } from './passkey.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
/** id-fido-gen-ce-aaguid (WebAuthn §8.2.1): the model, as an OCTET STRING. */
const modelExtension = '1.3.6.1.4.1.45724.1.1.4'
const dayMs = 86_400_000

/** A maker of security keys, with a root of its own. */
export class Maker {
  readonly #root: X509Certificate
  readonly #keys: webcrypto.CryptoKeyPair

  private constructor(root: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#root = root
    this.#keys = keys
  }

  static async open(name: string): Promise<Maker> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const root = await X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: `C=CH, O=${name}, CN=${name} Root`,
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + dayMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    })
    return new Maker(root, keys)
  }

  get pem(): string {
    return this.#root.toString('pem')
  }

  /** What a key of this model says of itself; of another model than its certificate, where that is wanted. */
  async state(model: string, claimed = model): Promise<Statement> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const id = Buffer.from(model.replaceAll('-', ''), 'hex')
    const certificate = await X509CertificateGenerator.create({
      serialNumber: '02',
      subject: 'C=CH, O=Maker, OU=Authenticator Attestation, CN=Key',
      issuer: this.#root.subject,
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + dayMs),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new Extension(modelExtension, false, Buffer.concat([Buffer.from([0x04, 0x10]), id])),
      ],
    })
    return { aaguid: claimed, certificates: [Buffer.from(certificate.rawData)], key: KeyObject.from(keys.privateKey) }
  }
}
