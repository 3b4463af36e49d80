import {
  parseLsn,
  SallyportError,
  type BaseManifest,
  type Clock,
  type Json,
  type Snapshot,
  type Vault,
  type WalServer,
  type WalSource,
  type WalStream,
} from '@sallyport/core'

const part = 'base.tar'

/** Stands where other copies have the digest of their request. */
export function baseDigest(stream: string): string {
  return `wal:${stream}`
}

/** Takes the whole server as one tar file into the vault: what a stream of WAL is replayed on. */
export async function takeBase(
  { vault, source, clock }: { readonly vault: Pick<Vault, 'seal'>; readonly source: WalSource; readonly clock: Clock },
  about: { readonly upstream: string; readonly stream: WalStream; readonly server: WalServer; readonly retainMs: number },
): Promise<{ readonly snapshot: Snapshot; readonly endLsn: bigint }> {
  const { upstream, stream, server, retainMs } = about
  let end = 0n
  const digest = baseDigest(stream.id)
  const snapshot = await vault.seal({ upstream, upstreamIdentity: server.identity, digest, retainMs }, async (seal) => {
    let span: { readonly startLsn: string; readonly endLsn: string; readonly timeline: number } | null = null
    const put = await seal.put({ name: part, bytes: source.baseBackup((told) => (span = told)) })
    const { startLsn, endLsn } = checkSpan(span, stream)
    end = parseLsn(endLsn)
    const manifest: BaseManifest = {
      version: 1,
      connector: 'postgres',
      kind: 'base-backup',
      part,
      partSha256: put.sha256,
      stream: stream.id,
      timeline: stream.timeline,
      segmentBytes: stream.segmentBytes,
      startLsn,
      endLsn,
      endedAtMs: clock.nowMs(),
      major: server.major,
      systemIdentifier: server.systemIdentifier,
      superuser: server.superuser,
      database: server.database,
    }
    const json: Json = { ...manifest }
    return { kind: 'base', rows: 0, bytes: put.bytes, checksums: {}, manifest: json }
  })
  return { snapshot, endLsn: end }
}

function checkSpan(
  span: { readonly startLsn: string; readonly endLsn: string; readonly timeline: number } | null,
  stream: WalStream,
): { readonly startLsn: string; readonly endLsn: string } {
  const fits = span !== null && span.timeline === stream.timeline && parseLsn(span.startLsn) >= parseLsn(stream.fromLsn)
  if (span !== null && fits) return span
  throw new SallyportError(
    'copy_failed',
    'The base copy does not go together with the stream of WAL: another timeline, or from before it began.',
    'It does not count.',
    'The gate takes another one by itself.',
  )
}
