import { createReadStream, createWriteStream, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Snapshot } from '@sallyport/core'
import { openProducer } from '../../packages/gateway/src/producers/index.ts'
import { openVault, type VaultClient } from '../../packages/gateway/src/vault/vault-client.ts'
import { startVault } from '../../tests/conformance/vault-process.ts'
import { beginOwnTransaction } from '../../tests/keeping/own-transaction.ts'
import { findPostgresBinaries, startPostgres, type PostgresServer } from '../../tests/servers/postgres.ts'
import { accessOf, findRestic, folderBytes, runProgram, timed } from './measure.ts'

/**
 * How long it takes to seal and to get back a dumped database, beside PostgreSQL's own programs alone and beside restic on the very same files; and
 * what a second copy costs in bytes when one row in a hundred changed.
 */
const rowsAtScaleOne = 100_000
const binaries = findPostgresBinaries()
const jobs = String(Math.max(1, Math.min(4, cpus().length)))

async function dump(server: PostgresServer, to: string): Promise<void> {
  const words = ['--format=directory', '--compress=0', `--jobs=${jobs}`, `--file=${to}`]
  await runProgram(join(binaries, 'pg_dump'), words, accessOf(server, 'shop'))
}

async function sealFolder(vault: VaultClient, folder: string): Promise<Snapshot> {
  const about = { upstream: 'bench', upstreamIdentity: 'bench', digest: 'bench', retainMs: 3_600_000 }
  return vault.seal(about, async (seal) => {
    let bytes = 0
    for (const name of readdirSync(folder).toSorted()) {
      const put = await seal.put({ name, bytes: createReadStream(join(folder, name), { highWaterMark: 1 << 18 }) })
      bytes += put.bytes
    }
    return { kind: 'database', rows: 0, bytes, checksums: {}, manifest: readdirSync(folder).toSorted() }
  })
}

async function fetchFolder(vault: VaultClient, { id }: Snapshot, names: readonly string[], to: string): Promise<void> {
  const opened = await vault.open(id)
  mkdirSync(to)
  for (const name of names) await pipeline(opened.read(name), createWriteStream(join(to, name)))
}

async function measure(server: PostgresServer, scale: number, root: string): Promise<readonly string[]> {
  const restic = findRestic()
  const running = await startVault()
  const vault = await openVault({ socketPath: running.socketPath, tokenFile: running.tokenFile })
  const repository = join(root, 'restic')
  const password = join(root, 'password')
  writeFileSync(password, 'bench\n', { mode: 0o600 })
  const resticEnvironment = { RESTIC_REPOSITORY: repository, RESTIC_PASSWORD_FILE: password, HOME: root, GOMAXPROCS: jobs }
  try {
    await runProgram(restic, ['init', '--quiet'], resticEnvironment)
    const [first, second] = [join(root, 'first'), join(root, 'second')]
    const names = (): readonly string[] => readdirSync(first).toSorted()
    const dumping = await timed(() => dump(server, first))
    const bytes = folderBytes(first)
    await server.query('CREATE DATABASE restored')
    const restoreWords = ['--format=directory', `--jobs=${jobs}`, '--dbname=restored', first]
    const restoring = await timed(() => runProgram(join(binaries, 'pg_restore'), restoreWords, accessOf(server, 'restored')))
    const backup = (folder: string): Promise<void> =>
      runProgram(restic, ['backup', '--quiet', '--no-cache', '--force', folder], resticEnvironment)
    const resticSeal = await timed(() => backup(first))
    const resticBytes = folderBytes(repository)
    const sealed: Snapshot[] = []
    const seal = await timed(async () => sealed.push(await sealFolder(vault, first)))
    const vaultBytes = folderBytes(join(running.folder, 'chunks'))
    const [snapshot] = sealed
    if (snapshot === undefined) throw new Error('nothing was sealed')
    const fetch = await timed(() => fetchFolder(vault, snapshot, names(), join(root, 'from-vault')))
    const resticFetch = await timed(() =>
      runProgram(
        restic,
        ['restore', 'latest', '--quiet', '--no-cache', '--target', join(root, 'from-restic')],
        resticEnvironment,
      ),
    )
    await server.query('UPDATE orders SET customer = customer + 1 WHERE id % 100 = 7', [], 'shop')
    await dump(server, second)
    await backup(second)
    const resticMore = folderBytes(repository) - resticBytes
    await sealFolder(vault, second)
    const vaultMore = folderBytes(join(running.folder, 'chunks')) - vaultBytes
    const whole = await timed(() => copyWhole(server, vault))
    const mib = bytes / (1 << 20)
    const per = (seconds: number): string => `${(mib / seconds).toFixed(0)} MiB/s`
    const share = (more: number, all: number): string => `${((100 * more) / all).toFixed(2)} %`
    return [
      `The database: ${(scale * rowsAtScaleOne).toLocaleString('en')} rows, ${mib.toFixed(0)} MiB as a dump (not compressed).`,
      '',
      '| step | time | throughput | ratio |',
      '| --- | --- | --- | --- |',
      `| pg_dump -Fd -j ${jobs} alone | ${dumping.toFixed(1)} s | ${per(dumping)} | 1.00 |`,
      `| seal those files into the vault, read back and compared | ${seal.toFixed(1)} s | ${per(seal)} | ${(seal / resticSeal).toFixed(2)} × restic |`,
      `| restic backup of those files | ${resticSeal.toFixed(1)} s | ${per(resticSeal)} | 1.00 |`,
      `| get the files back from the vault | ${fetch.toFixed(1)} s | ${per(fetch)} | ${(fetch / resticFetch).toFixed(2)} × restic |`,
      `| restic restore | ${resticFetch.toFixed(1)} s | ${per(resticFetch)} | 1.00 |`,
      `| pg_restore -j ${jobs} alone | ${restoring.toFixed(1)} s | ${per(restoring)} | 1.00 |`,
      `| \`vault copy\`: dumped, summed up, sealed, restored, compared | ${whole.toFixed(1)} s | ${per(whole)} | ${(whole / (dumping + restoring)).toFixed(2)} × pg_dump and pg_restore |`,
      '',
      '| bytes | vault | restic |',
      '| --- | --- | --- |',
      `| first copy | ${(vaultBytes / (1 << 20)).toFixed(1)} MiB | ${(resticBytes / (1 << 20)).toFixed(1)} MiB |`,
      `| second, one row in a hundred changed | ${share(vaultMore, vaultBytes)} of the first | ${share(resticMore, resticBytes)} of the first |`,
    ]
  } finally {
    vault.close()
    await running.remove()
  }
}

async function copyWhole(server: PostgresServer, vault: VaultClient): Promise<void> {
  const producer = openProducer({ kind: 'database', upstream: 'shop' }, () => ({
    target: {
      host: server.host,
      port: server.port,
      ...server.superuser,
      database: 'shop',
      tls: 'disable',
      rootCertificate: null,
    },
    begin: () => beginOwnTransaction(server.url('shop')),
  }))
  const options = { report: () => undefined, signal: new AbortController().signal }
  const about = { upstream: 'shop', upstreamIdentity: 'bench', digest: 'bench', retainMs: 3_600_000 }
  await vault.seal(about, (seal) => producer.copy(seal, options))
}

export async function benchWholeCopies(scale: number): Promise<readonly string[]> {
  const root = mkdtempSync(join(tmpdir(), 'sallyport-bench-vault-'))
  const server = await startPostgres()
  try {
    await server.query('CREATE DATABASE shop')
    // Text that hardly compresses, as much of real data is: pgbench's own tables shrink to a hundredth.
    await server.query(
      `CREATE TABLE orders AS SELECT g AS id, g % 1009 AS customer, md5(g::text) || md5((g * 7)::text) AS note, now() AS at
       FROM generate_series(1, ${scale * rowsAtScaleOne}) g`,
      [],
      'shop',
    )
    await server.query('ALTER TABLE orders ADD PRIMARY KEY (id)', [], 'shop')
    return await measure(server, scale, root)
  } finally {
    await server.stop()
    rmSync(root, { recursive: true, force: true })
  }
}
