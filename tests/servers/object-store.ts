import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { S3Client, CreateBucketCommand } from '@aws-sdk/client-s3'
import { findFreePort } from './postgres.ts'

const run = promisify(execFile)

/**
 * A real S3 server with Object Lock, made for one test file and thrown away after it: Debian's radosgw on a Ceph that lives in memory.
 * Known gaps of it: `If-None-Match: *` is ignored, a writer may undercut a bucket's default retention, and its own admin command can purge
 * a locked bucket, which no S3 credential can.
 */
export interface ObjectStore {
  readonly endpoint: string
  readonly credential: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** 0600, as a vault reads it. */
  readonly credentialFile: string
  /** With the credential of the owner of every bucket: as much as anybody can have over S3. */
  readonly client: S3Client
  /** Makes a bucket; the `s3://…` by which a vault finds it. */
  makeBucket(name: string, locked?: boolean): Promise<string>
  /** What no S3 credential can: whoever runs the storage itself takes a locked version away. */
  takeAway(bucket: string, key: string, version: string): Promise<void>
  /** Seconds of processor time that the server has used. */
  cpuSeconds(): number
  stop(): Promise<void>
}

const startMs = 60_000

/** Up in about two seconds, and half a second of processor time: one monitor, one store in memory, no manager. */
export async function startObjectStore(): Promise<ObjectStore> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-s3-'))
  for (const name of ['mon', 'osd', 'rgw']) mkdirSync(join(folder, name))
  const [monitorPort, port] = [await findFreePort(), await findFreePort()]
  const configuration = join(folder, 'ceph.conf')
  writeFileSync(configuration, describeCeph(folder, monitorPort, port))
  const env = { ...process.env, CEPH_CONF: configuration }
  const at = (name: string): string => join(folder, name)
  const fsid = '6f1c1f0e-0d5c-4c3b-9a3e-5a11c0de0001'
  await run('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monitorPort}]`, at('monmap')], { env })
  await run('osdmaptool', ['--createsimple', '1', at('osdmap')], { env })
  await run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', at('monmap'), '--osdmap', at('osdmap')], { env })
  const children: ChildProcess[] = []
  const start = (program: string, ...words: readonly string[]): void =>
    void children.push(startProgram(program, words, env, at(`${program}.out`)))
  const credential = { accessKeyId: 'OWNER', secretAccessKey: 'owner-secret' }
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(endChild))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    start('ceph-mon', '-i', 'a', '-f')
    // Asks the monitor who it is.
    await run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', '6f1c1f0e-0d5c-4c3b-9a3e-5a11c0de0002'], { env, timeout: startMs })
    start('ceph-osd', '-i', '0', '-f')
    start('radosgw', '-n', 'client.rgw', '-f')
    await Promise.race([untilAnswering(port), ...children.map(untilFailed)])
    const keys = ['--access-key', credential.accessKeyId, '--secret', credential.secretAccessKey]
    await run('radosgw-admin', ['-n', 'client.rgw', 'user', 'create', '--uid', 'owner', '--display-name', 'owner', ...keys], {
      env,
    })
  } catch (error) {
    const said = children.map(({ spawnfile }) => readFileSync(at(`${spawnfile}.out`), 'utf8').slice(-2_000)).join('\n')
    await stop()
    throw new Error(`the object store did not start: ${said}`, { cause: error })
  }
  const endpoint = `http://127.0.0.1:${port}`
  writeFileSync(at('credential'), `${credential.accessKeyId}:${credential.secretAccessKey}\n`, { mode: 0o600 })
  const client = makeClient(endpoint, credential)
  return {
    endpoint,
    credential,
    credentialFile: at('credential'),
    client,
    makeBucket: async (name, locked = true) => {
      await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: locked }))
      return `s3://${name}?endpoint=${encodeURIComponent(endpoint)}`
    },
    takeAway: async (bucket, key, version) => {
      const thing = [`--bucket=${bucket}`, `--object=${key}`, `--object-version=${version}`]
      await run('radosgw-admin', ['-n', 'client.rgw', 'object', 'rm', ...thing], { env })
    },
    cpuSeconds: () => children.reduce((sum, { pid }) => sum + cpuSecondsOf(pid ?? 0), 0),
    stop: async () => {
      client.destroy()
      await stop()
    },
  }
}

function makeClient(endpoint: string, credentials: ObjectStore['credential']): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
}

/** Nothing is authenticated inside: it all lives on loopback, for seconds. */
function describeCeph(folder: string, monitorPort: number, port: number): string {
  return `
[global]
mon_initial_members = a
mon_host = [v2:127.0.0.1:${monitorPort}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_data_avail_crit = 1
run_dir = ${folder}
admin_socket =
log_file =
[mon]
mon_data = ${folder}/mon
[osd]
osd_data = ${folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client.rgw]
ms_mon_client_mode = crc secure
rgw_data = ${folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw_thread_pool_size = 32
rgw_enable_gc_threads = false
rgw_enable_lc_threads = false
rgw_enable_quota_threads = false
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
`
}

function startProgram(program: string, words: readonly string[], env: NodeJS.ProcessEnv, outFile: string): ChildProcess {
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const out = createWriteStream(outFile)
  child.stdout.pipe(out)
  child.stderr.pipe(out, { end: false })
  return child
}

function untilFailed(child: ChildProcess): Promise<never> {
  return new Promise((_resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code}`)))
  })
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  // Its data lives in memory: there is nothing to end well.
  child.kill('SIGKILL')
  await ended
}

async function untilAnswering(port: number): Promise<void> {
  const deadline = Date.now() + startMs
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`)
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  // utime and stime, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) / 100
}
