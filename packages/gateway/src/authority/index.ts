import { X509Certificate } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import { Authority, makeAuthority, type AuthorityTime } from './authority.ts'

export type { Authority } from './authority.ts'

/** How long before its end an authority is replaced. */
const renewMs = 30 * 86_400_000

/**
 * Opens the certificate authority kept in a folder, or makes it: `ca.key` for the gate's user alone, `ca.pem` for agents to trust.
 * @throws SallyportError when others can read the key
 */
export async function openAuthority(directory: string, time: AuthorityTime): Promise<Authority> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const keyPath = join(directory, 'ca.key')
  const certificatePath = join(directory, 'ca.pem')
  if (!isUsable(keyPath, certificatePath, time.nowMs())) {
    const made = await makeAuthority(time.nowMs())
    write(keyPath, made.key, 0o600)
    write(certificatePath, made.certificate, 0o644)
  }
  if ((statSync(keyPath).mode & 0o077) !== 0)
    throw new SallyportError(
      'store_unavailable',
      `Others on this machine can read ${keyPath}.`,
      'The gate did not start.',
      `Remove ${keyPath}: with it anyone could pose as any host to the agents that trust it. A new one is made at the next start.`,
    )
  return Authority.open(readFileSync(keyPath, 'utf8'), readFileSync(certificatePath, 'utf8'), time)
}

/** Key and certificate that belong together, and last a while. */
function isUsable(keyPath: string, certificatePath: string, nowMs: number): boolean {
  if (!existsSync(keyPath) || !existsSync(certificatePath)) return false
  try {
    const certificate = new X509Certificate(readFileSync(certificatePath))
    return certificate.ca && Date.parse(certificate.validTo) - renewMs > nowMs && certificate.verify(certificate.publicKey)
  } catch {
    return false
  }
}

/** Whole and durable, or not at all. */
function write(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`
  const file = openSync(temporary, 'w', mode)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  chmodSync(temporary, mode)
  renameSync(temporary, path)
}
