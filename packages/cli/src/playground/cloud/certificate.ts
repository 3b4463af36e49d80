// x509 needs it loaded first.
import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { randomBytes, webcrypto } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { writePrivateFile } from '../../state-directory.ts'
import { cloudFolder } from './account.ts'
import { cloudHost } from './upstream.ts'

/** What a TLS server needs, in PEM. */
export interface ServerIdentity {
  readonly key: string
  readonly certificate: string
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const authorityDays = 3_650
const leafDays = 30
const dayMs = 86_400_000
/**
 * What the stand-in may be called. `localhost` is this machine, whoever resolves it. The last one is the real provider's: agents call that, and
 * the gate, told so by its configuration, dials here instead. The name harms nobody: only this gate trusts this authority, whose key is beside its
 * own credentials.
 */
const cloudNames = ['localhost', 'cloud.localhost', cloudHost] as const

/** The certificate that clients of the stand-in trust: of an authority of its own, which nothing else knows. */
export function authorityFile(stateDirectory: string): string {
  return join(cloudFolder(stateDirectory), 'ca.pem')
}

function authorityKeyFile(stateDirectory: string): string {
  return join(stateDirectory, 'secrets', 'cloud.ca.key')
}

/** A new leaf under the stand-in's own authority, which is made once and kept. */
export async function makeServerIdentity(stateDirectory: string, nowMs: number): Promise<ServerIdentity> {
  const authority = await openAuthority(stateDirectory, nowMs)
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    subject: `CN=${cloudNames[0]}`,
    issuer: authority.certificate.subject,
    notBefore: new Date(nowMs - dayMs),
    notAfter: new Date(nowMs + leafDays * dayMs),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new SubjectAlternativeNameExtension([
        ...cloudNames.map((value) => ({ type: 'dns' as const, value })),
        { type: 'ip' as const, value: '127.0.0.1' },
      ]),
    ],
  })
  return { key: await keyToPem(keys.privateKey), certificate: certificate.toString('pem') }
}

interface Authority {
  readonly certificate: X509Certificate
  readonly key: webcrypto.CryptoKey
}

async function openAuthority(stateDirectory: string, nowMs: number): Promise<Authority> {
  const files = { certificate: authorityFile(stateDirectory), key: authorityKeyFile(stateDirectory) }
  if (existsSync(files.certificate) && existsSync(files.key)) {
    const certificate = new X509Certificate(readFileSync(files.certificate, 'utf8'))
    const key = PemConverter.decodeFirst(readFileSync(files.key, 'utf8'))
    if (certificate.notAfter.getTime() > nowMs + leafDays * dayMs)
      return { certificate, key: await webcrypto.subtle.importKey('pkcs8', key, algorithm, false, ['sign']) }
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString('hex'),
    name: 'CN=Sallyport playground cloud',
    notBefore: new Date(nowMs - dayMs),
    notAfter: new Date(nowMs + authorityDays * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  for (const file of [files.certificate, files.key]) mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writePrivateFile(files.key, await keyToPem(keys.privateKey))
  writePrivateFile(files.certificate, `${certificate.toString('pem')}\n`)
  return { certificate, key: keys.privateKey }
}

async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}
