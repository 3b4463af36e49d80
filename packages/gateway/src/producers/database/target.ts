import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the database is, and how to get in. Holds the credential. */
export interface DumpTarget {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly tls: 'disable' | 'require' | 'verify-ca' | 'verify-full'
  readonly rootCertificate: Buffer | null
}

/** A folder that only the gate's user can enter, and how to take it away. */
export function makePrivateFolder(): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), `sallyport-dump-${process.pid}-`))
  chmodSync(folder, 0o700)
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }) }
}

/**
 * What PostgreSQL's programs are told of a server, in their environment: nothing of it is in an argument, where every user of the machine could
 * read it, and the password lies in a file of mode 0600.
 */
export function writeAccess(target: DumpTarget, folder: string): Readonly<Record<string, string>> {
  const passwords = join(folder, 'passwords')
  const escaped = target.password.replaceAll('\\', '\\\\').replaceAll(':', '\\:')
  writeFileSync(passwords, `*:*:*:*:${escaped}\n`, { mode: 0o600 })
  const root = join(folder, 'root.crt')
  if (target.rootCertificate !== null) writeFileSync(root, target.rootCertificate, { mode: 0o600 })
  return {
    PGHOST: target.host,
    PGPORT: String(target.port),
    PGUSER: target.user,
    PGDATABASE: target.database,
    PGPASSFILE: passwords,
    PGSSLMODE: target.tls,
    PGGSSENCMODE: 'disable',
    PGAPPNAME: 'sallyport protect',
    PGCONNECT_TIMEOUT: '30',
    ...(target.rootCertificate === null ? {} : { PGSSLROOTCERT: root }),
    // A server that nobody vouches for could ask for the password itself: it must show that it knows it already.
    ...(target.tls === 'require' ? { PGCHANNELBINDING: 'require' } : {}),
  }
}

/** A scratch server's: a socket in a folder that only its user can enter, and no password. */
export function scratchAccess(socketFolder: string): Readonly<Record<string, string>> {
  return { PGHOST: socketFolder, PGPORT: '5432', PGUSER: 'postgres', PGDATABASE: 'postgres', PGSSLMODE: 'disable' }
}
