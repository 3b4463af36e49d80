import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { startBrowser } from '../fakes/browser.ts'
import { arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres } from '../servers/postgres.ts'
import { listSnapshots, patience, requestOf, undo } from './evidence.ts'
import { forgeries } from './log-forgery.ts'
import { canonical, isIncluded, isSignedBy, sha256 } from './offline.ts'
import { decideOnPage, enrolOnPage } from './page.ts'
import { openPsql } from './psql.ts'
import { casesOf } from '../breadth.ts'
import { findProgram } from '../fakes/programs.ts'

vi.setConfig(patience)

const cli = findProgram('cli')
const vaultMain = findProgram('vault')
const drop = "DROP TABLE notes -- with a note of the agent's: naïve ✓"
let gate: TestGate
let origin: string
/** What an auditor is handed: files, on a machine where nothing of ours runs. */
let files: string

/** What its witnesses saw of the story while it happened. */
const happened: string[] = []

/** A whole story with a real browser in it; then everything is stopped. */
beforeAll(async () => {
  const postgres = await startPostgres()
  const browser = await startBrowser()
  try {
    gate = await startGate({ postgres, wait: '0ms' })
    origin = gate.controlUrl
    await arrange(
      postgres,
      "CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 3000) n; CREATE TABLE kept (id int)",
    )
    const ada = await gate.person('ada')
    const bob = await browser.open()
    await enrolOnPage(bob, await ada.invite(), 'bob')
    const coder = await openPsql(gate, 'coder')
    const request = requestOf(await coder.run(drop))
    happened.push(`ada: ${(await ada.give(request, 'approve')).status >= 400 ? 'refused' : 'taken'}`)
    happened.push(`bob: ${await decideOnPage(bob, gate, request, 'approve', drop)}`)
    happened.push((await coder.run(drop)).sqlState)
    const [copy] = await listSnapshots(gate)
    await undo(gate, copy?.id ?? '')
    const rejected = requestOf(await coder.run('DROP TABLE kept'))
    await decideOnPage(bob, gate, rejected, 'reject', 'DROP TABLE kept')
    happened.push(...(await coder.run('SELECT count(*) FROM notes')).rows.flat())
    happened.push((await coder.run('DELETE FROM notes WHERE id = 7')).sqlState)
    await gate.halt()
    await gate.vault.stop()
    files = mkdtempSync(join(tmpdir(), 'sp-audit-'))
    cpSync(gate.directory, files, { recursive: true, filter: (path) => !/\.sock$|store\.db|secrets/.test(path) })
  } finally {
    await browser.stop()
    await postgres.stop()
  }
})

afterAll(async () => {
  if (files !== undefined) rmSync(files, { recursive: true, force: true })
  await gate?.stop()
})

interface Said {
  readonly code: number
  readonly text: string
}

const sallyport = (...words: readonly string[]): Promise<Said> => run(cli, ...words)

function run(...words: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...words], { maxBuffer: 64 << 20 }, (error, out) =>
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, text: out }),
    )
  })
}

const eventShape = z.object({
  index: z.number(),
  type: z.string(),
  atMs: z.number(),
  session: z.string().optional(),
  agent: z.string().optional(),
  data: z.record(z.string(), z.unknown()),
})
type Shown = z.infer<typeof eventShape>

async function readLog(): Promise<readonly Shown[]> {
  const { text } = await sallyport('log', 'show', join(files, 'log'), '--count', '10000', '--json')
  return text
    .trim()
    .split('\n')
    .map((line) => eventShape.parse(JSON.parse(line)))
}

function only(events: readonly Shown[], type: string, holds: (event: Shown) => boolean = () => true): Shown {
  const [found, ...more] = events.filter((event) => event.type === type && holds(event))
  if (found === undefined || more.length > 0) throw new Error(`${type}: ${found === undefined ? 'none' : 'more than one'}`)
  return found
}

const questionShape = z.looseObject({
  digest: z.string(),
  text: z.string(),
  subject: z.object({ agent: z.string(), owner: z.string() }),
  environment: z.string(),
  copy: z.string(),
  operations: z.array(z.looseObject({ action: z.string(), rows: z.number().nullable() })),
})
const openedShape = z.object({ request: z.string(), nonce: z.string(), expiresAtMs: z.number(), question: questionShape })
const assertionShape = z.object({ clientDataJSON: z.string(), authenticatorData: z.string(), signature: z.string() })
const approvalShape = z.object({
  person: z.string(),
  verdict: z.string(),
  challenge: z.string(),
  credentialId: z.string(),
  evidence: z.object({ response: assertionShape }),
})
const verdictShape = z.object({ request: z.string(), approval: approvalShape })
const enrolledShape = z.object({
  person: z.string(),
  credential: z.string(),
  publicKey: z.string(),
  invitedBy: z.string().nullable(),
})

/** What somebody was asked, as the log has it, and what they would have had to sign to say this to it. */
function challengeOf({ request, nonce, expiresAtMs, question }: z.infer<typeof openedShape>, verdict: string): string {
  return sha256(canonical({ v: 1, purpose: 'sallyport verdict', verdict, request, nonce, expiresAtMs, question })).toString('hex')
}

describe('Promise 10, at every isolation level: anyone can check the story offline', () => {
  it('the story that it is about happened', () => {
    expect(happened).toEqual(['ada: refused', expect.stringMatching(/^bob: .*approved/), '00000', '3000', '00000'])
  })

  it('the record is whole up to what the vault has witnessed', async () => {
    const [log, vault] = await Promise.all([
      sallyport('log', 'verify', join(files, 'log'), '--require-witness', '--json'),
      sallyport('vault', 'verify', join(files, 'vault'), '--json'),
    ])
    const report = z
      .object({ ok: z.boolean(), size: z.number(), witnessSize: z.number(), findings: z.array(z.unknown()) })
      .parse(JSON.parse(log.text))
    expect(report).toMatchObject({ ok: true, findings: [] })
    expect(report.witnessSize).toBe(report.size)
    expect([log.code, vault.code]).toEqual([0, 0])
  })

  it('who asked for what, and who approved what they saw: the passkey’s signature is verified again, over the question on the log', async () => {
    const events = await readLog()
    const asked = events.filter(({ type }) => type === 'request.opened').map(({ data }) => openedShape.parse(data))
    expect(asked.map(({ question }) => question.text)).toEqual([drop, 'DROP TABLE kept'])
    expect(asked[0]?.question).toMatchObject({
      subject: { agent: 'coder', owner: 'ada' },
      environment: 'production',
      copy: 'tables',
    })
    expect(asked[0]?.question.operations).toMatchObject([{ action: 'postgres.drop_table', rows: 3000 }])
    const verdicts = events.filter(({ type }) => type === 'verdict').map(({ data }) => verdictShape.parse(data))
    expect(verdicts.map(({ approval }) => `${approval.person} ${approval.verdict}`)).toEqual(['bob approve', 'bob reject'])
    for (const { request, approval } of verdicts) {
      const question = asked.find((one) => one.request === request)
      if (question === undefined) throw new Error('a verdict on nothing')
      const challenge = challengeOf(question, approval.verdict)
      expect(approval.challenge).toBe(challenge)
      const person = enrolledShape.parse(
        only(events, 'person.enrolled', ({ data }) => data['credential'] === approval.credentialId).data,
      )
      expect(person).toMatchObject({ person: approval.person, invitedBy: 'ada' })
      expect(isSignedBy(person.publicKey, approval.evidence.response, challenge, origin)).toBe(true)
      // The other verdict, another question, another key: not what was signed.
      expect(
        isSignedBy(
          person.publicKey,
          approval.evidence.response,
          challengeOf(question, approval.verdict === 'approve' ? 'reject' : 'approve'),
          origin,
        ),
      ).toBe(false)
      const changed = { ...question, question: { ...question.question, text: 'SELECT 1' } }
      expect(isSignedBy(person.publicKey, approval.evidence.response, challengeOf(changed, approval.verdict), origin)).toBe(false)
      const stranger = enrolledShape.parse(only(events, 'person.enrolled', ({ data }) => data['person'] === 'ada').data)
      expect(isSignedBy(stranger.publicKey, approval.evidence.response, challenge, origin)).toBe(false)
    }
    // That the owner tried is on the log as well.
    expect(only(events, 'verdict.refused', ({ data }) => data['person'] === 'ada').data['request']).toBe(asked[0]?.request)
  })

  it('what ran, what came of it, and which copy proves it', async () => {
    const events = await readLog()
    const request = openedShape.parse(events.find(({ type }) => type === 'request.opened')?.data)
    const intent = only(events, 'intent', ({ data }) => data['request'] === request.request)
    expect(intent.data).toMatchObject({ text: drop, digest: request.question.digest, approvers: ['bob'] })
    // The bytes that went upstream are those of the text: a Query message, and nothing else.
    const text = Buffer.from(`${drop}\0`)
    const head = Buffer.alloc(5, 'Q')
    head.writeInt32BE(text.length + 4, 1)
    expect(intent.data['bytesSha256']).toBe(sha256(Buffer.concat([head, text])).toString('hex'))
    expect(only(events, 'outcome', ({ data }) => data['intent'] === intent.data['intent']).data).toMatchObject({
      result: 'succeeded',
      snapshot: intent.data['snapshot'],
    })
    const sealed = only(events, 'snapshot.sealed', ({ data }) => data['snapshot'] === intent.data['snapshot'])
    expect(sealed.index).toBeLessThan(intent.index)
    expect(sealed.data).toMatchObject({ rows: 3000, digest: request.question.digest })
    const listed = z
      .object({ snapshots: z.array(z.object({ id: z.string(), checksums: z.record(z.string(), z.string()) })) })
      .parse(JSON.parse((await sallyport('vault', 'list', join(files, 'vault'), '--json')).text))
    const copy = listed.snapshots.find(({ id }) => id === intent.data['snapshot'])
    expect(copy?.checksums).toEqual(sealed.data['checksums'])
    // And it was put back from it, verified.
    expect(only(events, 'undo').data).toMatchObject({ snapshot: copy?.id, rows: 3000, verified: true })
    const small = only(events, 'intent', ({ data }) => data['text'] === 'DELETE FROM notes WHERE id = 7')
    expect(small.data).toMatchObject({ request: null, approvers: [], snapshot: expect.stringMatching(/^[0-9a-f]{64}$/) })
    const out = join(files, 'restored')
    const restored = await sallyport('vault', 'restore', String(copy?.id), '--dir', join(files, 'vault'), '--to', out, '--json')
    expect(restored.code).toBe(0)
    const rows = readdirSync(out, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => readFileSync(join(file.parentPath, file.name)))
    expect(rows.some((bytes) => bytes.includes('note 1234'))).toBe(true)
  })

  it('one event by itself: it is in what was signed, for whoever has a proof of a few hashes', async () => {
    const verdict = (await readLog()).find(({ type }) => type === 'verdict')
    const { text } = await sallyport('log', 'prove', String(verdict?.index), join(files, 'log'))
    const { index, size, entry, proof, checkpoint } = z
      .object({ index: z.number(), size: z.number(), entry: z.string(), proof: z.array(z.string()), checkpoint: z.string() })
      .parse(JSON.parse(text))
    const bytes = Buffer.from(entry)
    // The salt is what keeps the hashes of its neighbours from telling what they say.
    const salt: unknown = expect.stringMatching(/^[A-Za-z0-9_-]{22}$/)
    expect(JSON.parse(bytes.toString('utf8'))).toEqual({ ...verdict, index: undefined, salt })
    const root = Buffer.from(checkpoint.split('\n')[2] ?? '', 'base64')
    const path = proof.map((hash) => Buffer.from(hash, 'base64'))
    expect(isIncluded(bytes, index, size, path, root)).toBe(true)
    expect(isIncluded(Buffer.from(bytes.toString('utf8').replace('bob', 'eve')), index, size, path, root)).toBe(false)
    expect(isIncluded(bytes, index + 1, size, path, root)).toBe(false)
  })

  it('each falsification of the log is found', async () => {
    const witness = join(files, 'vault', 'witness', 'checkpoint')
    const chosen = casesOf(forgeries, 7)
    const tried = await inPairs(chosen, async ({ what, make }, place) => {
      const copy = join(files, `forged-${place}`)
      cpSync(join(files, 'log'), copy, { recursive: true })
      make(copy, files)
      const { code, text } = await sallyport('log', 'verify', copy, '--witness', witness, '--json')
      const kinds = z
        .object({ findings: z.array(z.object({ kind: z.string() })) })
        .parse(JSON.parse(text))
        .findings.map(({ kind }) => kind)
      return { what, found: code === 1 && kinds.length > 0 }
    })
    expect(tried.filter(({ found }) => !found)).toEqual([])
    expect(tried).toHaveLength(chosen.length)
  })

  it('each falsification of a copy is found', async () => {
    const copyFiles = (folder: string, part: string): readonly string[] =>
      readdirSync(join(folder, part), { recursive: true, withFileTypes: true })
        .filter((file) => file.isFile())
        .map((file) => join(file.parentPath, file.name))
        .toSorted()
    const largest = (folder: string): string =>
      copyFiles(folder, 'chunks').toSorted((left, right) => readFileSync(right).length - readFileSync(left).length)[0] ?? ''
    const ways: readonly ((folder: string) => void)[] = [
      (folder) => flip(largest(folder)),
      (folder) => rmSync(largest(folder)),
      (folder) => writeFileSync(largest(folder), readFileSync(largest(folder)).subarray(0, -1)),
      (folder) => flip(copyFiles(folder, 'manifests')[0] ?? ''),
      (folder) => rmSync(copyFiles(folder, 'manifests')[0] ?? ''),
      (folder) => swap(copyFiles(folder, 'manifests')),
    ]
    const chosen = casesOf(ways, 3)
    const tried = await inPairs(chosen, async (make, place) => {
      const copy = join(files, `damaged-${place}`)
      cpSync(join(files, 'vault'), copy, { recursive: true })
      for (const file of [...copyFiles(copy, 'chunks'), ...copyFiles(copy, 'manifests')]) makeWritable(file)
      make(copy)
      return (await run(vaultMain, 'verify', copy)).code
    })
    expect(tried).toEqual(chosen.map(() => 1))
  })
})

function flip(file: string): void {
  const bytes = readFileSync(file)
  const at = Math.floor(bytes.length / 2)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

function swap([first = '', second = '']: readonly string[]): void {
  renameSync(first, `${first}.away`)
  renameSync(second, first)
  renameSync(`${first}.away`, second)
}

/** Whoever falsifies copies a file over itself first: 0400 stops nobody who owns it. */
function makeWritable(file: string): void {
  const bytes = readFileSync(file)
  rmSync(file)
  writeFileSync(file, bytes, { mode: 0o600 })
}

/** Two at a time, in order. */
async function inPairs<Item, Result>(
  items: readonly Item[],
  work: (item: Item, place: number) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = []
  for (let at = 0; at < items.length; at += 2)
    results.push(...(await Promise.all(items.slice(at, at + 2).map((item, offset) => work(item, at + offset)))))
  return results
}
