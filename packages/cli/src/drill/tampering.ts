import { execFile } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import {
  decodeSegment,
  encodeGroup,
  encodeSegmentHeader,
  leafHash,
  noteSigner,
  parseSegmentName,
  segmentName,
  signCheckpoint,
  TileTree,
} from '@sallyport/core'
import { z } from 'zod'
import type { Act } from './act.ts'
import type { Play } from './play.ts'
import { drillEnvironment } from './processes.ts'

/** One way to falsify a log on disk, by someone who may write every file of the gate's and knows its formats. */
interface Tampering {
  readonly what: string
  /** Finding kinds of `log verify` of which one must be there. */
  readonly found: readonly string[]
  change(directory: string, stateDirectory: string): void
}

const cli = fileURLToPath(new URL('../cli.ts', import.meta.url))
const reportShape = z.object({ ok: z.boolean(), findings: z.array(z.object({ kind: z.string() })), size: z.number() })

const tamperings: readonly Tampering[] = [
  { what: 'a changed byte', found: ['damaged'], change: (directory) => flipByte(directory) },
  {
    what: 'a changed entry, checksums made good',
    found: ['entry_changed', 'root_mismatch'],
    change: (directory) => rewrite(directory, changeOne),
  },
  {
    what: 'a removed entry',
    found: ['entry_removed', 'root_mismatch'],
    change: (directory) => rewrite(directory, (entries) => entries.toSpliced(middle(entries), 1)),
  },
  {
    what: 'two entries reordered',
    found: ['entries_reordered', 'root_mismatch', 'entry_changed'],
    change: (directory) => rewrite(directory, swapTwo),
  },
  {
    what: 'an added entry',
    found: ['entry_added', 'root_mismatch'],
    change: (directory) => rewrite(directory, (entries) => entries.toSpliced(middle(entries), 0, ...entries.slice(0, 1))),
  },
  {
    what: 'a truncated tail',
    found: ['truncated'],
    change: (directory) => rewrite(directory, (entries) => entries.slice(0, -3)),
  },
  {
    what: "a truncated tail, re-signed with the gateway's own key",
    found: ['truncated'],
    change: (directory, state) => rewriteSigned(directory, state, (entries) => entries.slice(0, -3)),
  },
  {
    what: "a rewrite, re-signed with the gateway's own key",
    found: ['rewritten'],
    change: (directory, state) => rewriteSigned(directory, state, changeOne),
  },
]

/** Must be the last act: it stops the gate. */
export const logAct: Act<Play> = {
  act: 'the log: verified as it is, and after each way to falsify it',
  expected: `true log verified; ${tamperings.length} of ${tamperings.length} falsifications found`,
  play: async ({ stage }) => {
    await stage.stopGate()
    const log = join(stage.directory, 'log')
    const witness = join(stage.directory, 'vault', 'witness', 'checkpoint')
    const truth = await verify(stage.directory, log, witness)
    const evidence: Record<string, string | boolean | number> = { entries: truth.size, trueLogVerified: truth.ok }
    for (const [name, file] of Object.entries({ stray: stage.cloud.strayTokenFile, 'gate’s': stage.cloud.tokenFile }))
      evidence[`the ${name} token is in it`] = isOnLog(log, readFileSync(file, 'utf8').trim())
    const found = await falsifyAll(stage.directory, witness, evidence)
    return {
      observed: `true log ${truth.ok ? 'verified' : `not verified: ${truth.findings.map(({ kind }) => kind).join(', ')}`}; ${found} of ${tamperings.length} falsifications found`,
      client: 'sallyport log verify',
      evidence,
    }
  },
}

/** How many of the falsifications were found. Two at a time: each is a process of its own. */
async function falsifyAll(state: string, witness: string, evidence: Record<string, string | boolean | number>): Promise<number> {
  let found = 0
  const left = [...tamperings.entries()]
  // In their order in the report, whichever ends first.
  for (const { what } of tamperings) evidence[what] = ''
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [index, tampering] = next
      const { what, found: expected } = tampering
      const copy = join(state, `tampered-${index}`)
      cpSync(join(state, 'log'), copy, { recursive: true })
      tampering.change(copy, state)
      const report = await verify(state, copy, witness)
      rmSync(copy, { recursive: true })
      const kinds = report.findings.map(({ kind }) => kind)
      evidence[what] = kinds.join(', ') || 'NOT FOUND'
      if (!report.ok && kinds.some((kind) => expected.includes(kind))) found += 1
    }
  }
  await Promise.all([work(), work()])
  return found
}

function isOnLog(log: string, secret: string): boolean {
  return secret === '' || segments(log).some((name) => readFileSync(join(log, 'entries', name)).includes(secret))
}

/** The command as a person would run it, in a process of its own. */
function verify(state: string, directory: string, witness: string): Promise<z.infer<typeof reportShape>> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [cli, 'log', 'verify', directory, '--witness', witness, '--json'],
      { env: drillEnvironment(state), timeout: 60_000, maxBuffer: 16 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const parsed = reportShape.safeParse(parseJson(stdout))
        if (parsed.success) resolve(parsed.data)
        else reject(new Error(`log verify gave no report: ${stderr.slice(0, 300) || (error?.message ?? 'no error either')}`))
      },
    )
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function segments(directory: string): readonly string[] {
  return readdirSync(join(directory, 'entries'))
    .filter((name) => parseSegmentName(name) !== null)
    .toSorted()
}

function readEntries(directory: string): readonly Uint8Array[] {
  return segments(directory).flatMap((name) =>
    decodeSegment(readFileSync(join(directory, 'entries', name))).groups.flatMap(({ entries }) => entries),
  )
}

function flipByte(directory: string): void {
  const [name = ''] = segments(directory)
  const path = join(directory, 'entries', name)
  const bytes = readFileSync(path)
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

function middle(entries: readonly unknown[]): number {
  return Math.floor(entries.length / 2)
}

function changeOne(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  const at = entries.findIndex((entry) => Buffer.from(entry).includes('"agent":"coder"'))
  return entries.map((entry, index) =>
    index === at ? Buffer.from(Buffer.from(entry).toString().replace('"agent":"coder"', '"agent":"other"')) : entry,
  )
}

function swapTwo(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  const at = middle(entries)
  return entries.toSpliced(at, 2, ...entries.slice(at, at + 2).toReversed())
}

function rewrite(directory: string, change: (entries: readonly Uint8Array[]) => readonly Uint8Array[]): readonly Uint8Array[] {
  const entries = change(readEntries(directory))
  for (const name of segments(directory)) rmSync(join(directory, 'entries', name))
  writeFileSync(join(directory, 'entries', segmentName(0)), Buffer.concat([encodeSegmentHeader(0), encodeGroup(0, entries)]))
  return entries
}

/** What whoever broke into the gateway could do: the signature is its own. Tiles go, since they can be derived again. */
function rewriteSigned(
  directory: string,
  stateDirectory: string,
  change: (entries: readonly Uint8Array[]) => readonly Uint8Array[],
): void {
  const entries = rewrite(directory, change)
  rmSync(join(directory, 'tile'), { recursive: true, force: true })
  rmSync(join(directory, 'witnessed'), { force: true })
  const tree = new TileTree()
  for (const entry of entries) tree.append(leafHash(entry))
  const signer = noteSigner(
    readFileSync(join(stateDirectory, 'log.origin'), 'utf8'),
    Buffer.from(readFileSync(join(stateDirectory, 'log.key'), 'utf8'), 'hex'),
  )
  writeFileSync(
    join(directory, 'checkpoint'),
    signCheckpoint({ origin: signer.key.name, size: tree.size, root: tree.root() }, signer),
  )
}
