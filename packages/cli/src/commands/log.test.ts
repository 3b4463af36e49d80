import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  addSignatures,
  cosignNote,
  decodeBase64,
  encodeEntry,
  encodeGroup,
  encodeSegmentHeader,
  encodeTile,
  formatVerifierKey,
  leafHash,
  noteSigner,
  openCheckpoint,
  parseNote,
  segmentName,
  signatureTypes,
  signCheckpoint,
  tilePath,
  TileTree,
  verifyInclusion,
} from '@sallyport/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../../../../tests/fakes/programs.ts'
import { casesOf, inDepth } from '../../../../tests/breadth.ts'

const signer = noteSigner('gate.example/log', Buffer.alloc(32, 1))
const cosigner = noteSigner('vault.example/w', Buffer.alloc(32, 2), signatureTypes.cosignature)
const program = findProgram('cli')

const entries = Array.from({ length: 300 }, (_, place) =>
  encodeEntry({
    type: 'statement',
    atMs: 1000 + place,
    session: 's1',
    agent: 'a1',
    data: { place, text: place === 7 ? 'select \u202e1' : 'select 1' },
  }),
)

let root = ''
let made = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-log-'))
})
afterAll(async () => {
  await rm(root, { recursive: true })
})

function signed(content: readonly Uint8Array[]): { text: string; tree: TileTree; tiles: Map<string, Uint8Array> } {
  const tiles = new Map<string, Uint8Array>()
  const tree = new TileTree((tile) =>
    tiles.set(tilePath({ level: tile.level, index: tile.index, width: 256 }), encodeTile(tile.hashes)),
  )
  for (const entry of content) tree.append(leafHash(entry))
  for (const tile of tree.partialTiles())
    tiles.set(tilePath({ level: tile.level, index: tile.index, width: tile.hashes.length }), encodeTile(tile.hashes))
  return { text: signCheckpoint({ origin: signer.key.name, size: tree.size, root: tree.root() }, signer), tree, tiles }
}

/** A state directory as a gate and its vault leave it; entries may differ from what was signed. */
async function makeState(
  options: {
    found?: readonly Uint8Array[]
    signedEntries?: readonly Uint8Array[]
    witnessEntries?: readonly Uint8Array[] | null
  } = {},
): Promise<string> {
  const state = join(root, String((made += 1)))
  const { found = entries, signedEntries = entries, witnessEntries = entries } = options
  const { text, tiles } = signed(signedEntries)
  await mkdir(join(state, 'log', 'entries'), { recursive: true })
  await writeFile(join(state, 'log', 'entries', segmentName(0)), Buffer.concat([encodeSegmentHeader(0), encodeGroup(0, found)]))
  await writeFile(join(state, 'log', 'checkpoint'), text)
  await writeFile(join(state, 'log', 'keys'), `${formatVerifierKey(signer.key)}\n${formatVerifierKey(cosigner.key)}\n`)
  for (const [path, bytes] of tiles) {
    await mkdir(join(state, 'log', path, '..'), { recursive: true })
    await writeFile(join(state, 'log', path), bytes)
  }
  if (witnessEntries) await writeWitness(state, witnessEntries)
  return state
}

async function writeWitness(state: string, content: readonly Uint8Array[]): Promise<void> {
  const { text } = signed(content)
  await mkdir(join(state, 'vault', 'witness'), { recursive: true })
  await writeFile(
    join(state, 'vault', 'witness', 'checkpoint'),
    addSignatures(text, cosignNote(parseNote(text).text, cosigner, 1_700_000_000)),
  )
  await writeFile(join(state, 'vault', 'witness', 'log.vkey'), `${formatVerifierKey(signer.key)}\n`)
  await writeFile(join(state, 'vault', 'identity'), `${JSON.stringify({ v: 1, witnessKey: formatVerifierKey(cosigner.key) })}\n`)
}

const run = (...words: readonly string[]): ReturnType<typeof runAny> => runAny('log', ...words)

function runAny(...words: readonly string[]): Promise<{ code: number; out: string; problem: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], (error, out, problem) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, problem }),
    )
  })
}

describe('log verify', () => {
  it('is content with a good log and says how far it was witnessed, by the log or the state directory', async () => {
    const state = await makeState()
    for (const directory of [state, join(state, 'log')]) {
      const { code, out } = await run('verify', directory)
      expect(code).toBe(0)
      expect(out).toMatch(/witnessed up to entry 300 at 2023-11-14/)
      expect(out).not.toMatch(/note|FINDING/)
      expect(out.trim().endsWith('ok')).toBe(true)
    }
    const { out } = await run('verify', state, '--json')
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      size: 300,
      checkpointSize: 300,
      witnessSize: 300,
      findings: [],
      information: [],
    })
  })

  it('says "truncation not excluded" without a witness, and exits 3 when one is required', async () => {
    const state = await makeState({ witnessEntries: null })
    const plain = await run('verify', state)
    expect(plain.code).toBe(0)
    expect(plain.out).toMatch(/Truncation not excluded/)
    expect(plain.out).toMatch(/found beside the log/)
    expect((await run('verify', state, '--require-witness')).code).toBe(3)
    expect((await run('verify', await makeState(), '--witness', 'none', '--require-witness')).code).toBe(3)
    expect((await run('verify', await makeState(), '--require-witness')).code).toBe(0)
  })

  it.each(
    casesOf(
      [
        [
          'a changed event',
          { found: entries.map((entry, place) => (place === 20 ? (entries[21] ?? entry) : entry)) },
          'root_mismatch',
        ],
        ['a removed event', { found: entries.filter((_, place) => place !== 20) }, 'entry_removed'],
        ['an added event', { found: [...entries.slice(0, 20), ...entries.slice(19)] }, 'entry_added'],
        [
          'a reordered event',
          { found: [...entries.slice(1, 2), ...entries.slice(0, 1), ...entries.slice(2)] },
          'entries_reordered',
        ],
        ['a truncated tail', { found: entries.slice(0, 290) }, 'truncated'],
        ['an old image', { found: entries.slice(0, 290), signedEntries: entries.slice(0, 290) }, 'truncated'],
        [
          'a rewrite signed with the gate’s key',
          { found: entries.toReversed(), signedEntries: entries.toReversed() },
          'rewritten',
        ],
      ] as const,
      2,
    ),
  )('finds %s', async (_, options, kind) => {
    const { code, out } = await run('verify', await makeState(options), '--json')
    const report: { ok: boolean; findings: { kind: string }[] } = JSON.parse(out)
    expect(code).toBe(1)
    expect(report.ok).toBe(false)
    expect(report.findings.map((finding) => finding.kind)).toContain(kind)
  })

  it.each(inDepth('finds a changed byte'))('%s', async () => {
    const state = await makeState()
    const path = join(state, 'log', 'entries', segmentName(0))
    const bytes = await readFile(path)
    bytes[5000] = (bytes[5000] ?? 0) ^ 1
    await writeFile(path, bytes)
    const { code, out } = await run('verify', state)
    expect(code).toBe(1)
    expect(out).toMatch(/FINDING: Entry \d+ was changed/)
  })

  it.each(inDepth('waits for a running gate to sign an added tail; what nobody signs is a finding'))('%s', async () => {
    const tail = [...entries, ...entries.slice(0, 3)]
    const state = await makeState({ found: tail })
    const working = run('verify', state, '--json')
    const stopped = await working
    expect(stopped.code).toBe(1)
    expect(JSON.parse(stopped.out)).toMatchObject({ findings: [{ kind: 'unsigned_tail', index: 300, count: 3 }] })
    const growing = await makeState({ found: tail })
    const watched = run('verify', growing, '--json')
    // The gate signs what it appended while the command looks on; whichever comes first, the result is the same.
    await writeFile(join(growing, 'log', 'checkpoint'), signed(tail).text)
    expect((await watched).code).toBe(0)
  })

  it.each(inDepth('believes no key beside the log before the witness’s, and none of these before the caller’s'))(
    '%s',
    async () => {
      const thief = noteSigner(signer.key.name, Buffer.alloc(32, 5))
      const state = await makeState({ witnessEntries: null })
      const { tree } = signed(entries)
      await writeFile(
        join(state, 'log', 'checkpoint'),
        signCheckpoint({ origin: thief.key.name, size: tree.size, root: tree.root() }, thief),
      )
      await writeFile(join(state, 'log', 'keys'), `${formatVerifierKey(thief.key)}\n`)
      const beside = await run('verify', state)
      expect(beside.code).toBe(0)
      expect(beside.out).toMatch(/proves nothing against someone who can write there/)
      expect((await run('verify', state, '--log-key', formatVerifierKey(signer.key))).code).toBe(1)
      await writeWitness(state, entries)
      const { code, out } = await run('verify', state)
      expect(code).toBe(1)
      expect(out).toMatch(/not signed by the log's key/)
      const otherWitness = noteSigner(cosigner.key.name, Buffer.alloc(32, 6), signatureTypes.cosignature)
      expect((await run('verify', await makeState(), '--witness-key', formatVerifierKey(otherWitness.key))).code).toBe(1)
    },
  )

  it.each(inDepth('exits 2 when there is no such log, witness or key'))('%s', async () => {
    expect((await run('verify', join(root, 'nowhere'))).code).toBe(2)
    expect((await run('verify', await makeState(), '--witness', join(root, 'nowhere'))).code).toBe(2)
    const { code, problem } = await run('verify', await makeState(), '--log-key', 'nonsense')
    expect(code).toBe(2)
    expect(problem).toMatch(/verifier key/)
  })
})

describe('log show', () => {
  it('prints a range, with what could mislead a reader made visible', async () => {
    const state = await makeState()
    const { out } = await run('show', state, '--from', '7', '--count', '2')
    expect(out.trim().split('\n').length).toBe(2)
    expect(out).not.toContain('\u202e')
    const json = await run('show', state, '--from', '299', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ index: 299, type: 'statement', data: { place: 299 } })
  })
})

describe('log search', () => {
  it('prints what has all of what was asked for, and says so when nothing has', async () => {
    const state = await makeState()
    const { out } = await run('search', state, '--session', 's1xx')
    expect(out).toBe('')
    const json = await run('search', state, '--agent', 'a1', '--text', '"PLACE":299', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ index: 299, data: { place: 299 } })
    const lines = await run('search', state, '--type', 'statement', '--since', '1970-01-01T00:00:01.007Z', '--count', '2')
    expect(
      lines.out
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(['7', '8'])
    expect(lines.out).not.toContain('\u202e')
    expect((await run('search', state, '--type', 'statemen')).code).toBe(2)
    expect((await run('search', state, '--since', 'yesterday')).problem).toContain('2026-11-22T10:00:00Z')
  })
})

describe('log prove', () => {
  it('gives a proof that holds against the witness’s checkpoint', async () => {
    const state = await makeState({ witnessEntries: entries.slice(0, 280) })
    const { out } = await run('prove', '270', state)
    const proof: { index: number; size: number; entry: string; proof: string[]; checkpoint: string } = JSON.parse(out)
    const { checkpoint, verdict } = openCheckpoint(proof.checkpoint, [signer.key, cosigner.key])
    expect(verdict.verified.length).toBe(2)
    const hashes = proof.proof.map((hash) => decodeBase64(hash) ?? Buffer.alloc(0))
    expect(verifyInclusion(leafHash(Buffer.from(proof.entry)), 270, checkpoint.size, hashes, checkpoint.root)).toBe(true)
    expect((await run('prove', '290', state)).code).toBe(1)
    expect((await run('prove', '290', state, '--witness', 'none')).code).toBe(0)
  })

  it.each(inDepth('refuses for a log that does not add up'))('%s', async () => {
    const { code, problem } = await run('prove', '5', await makeState({ found: entries.toReversed() }))
    expect(code).toBe(1)
    expect(problem).toMatch(/do not add up/)
  })
})

describe('log bundle, and verify with nothing but the file', () => {
  const keys = ['--log-key', formatVerifierKey(signer.key), '--witness-key', formatVerifierKey(cosigner.key)]
  const check = (file: string, ...rest: readonly string[]): ReturnType<typeof run> => runAny('verify', file, ...rest)

  async function makeBundle(): Promise<string> {
    const file = join(root, `bundle-${(made += 1)}.html`)
    const bundled = await run('bundle', await makeState(), '--entry', '7', '--entry', '299', '--out', file)
    expect(bundled).toMatchObject({ code: 0, out: expect.stringContaining('2 entries') })
    return file
  }

  it('proves what is in it, says it in words, and names what it does not show', async () => {
    const file = await makeBundle()
    const { code, out } = await check(file, ...keys)
    expect(code).toBe(0)
    expect(out).toMatch(/proven {2}7 .*select/)
    expect(out).toMatch(/2 of the 300 entries of gate.example\/log/)
    expect(out).toMatch(/witnessed at /)
    expect(out).not.toMatch(/note:/)
    expect(out).not.toContain('\u202e')
    expect((await check(file)).out).toMatch(/the keys are the file’s own/)
    const page = await readFile(file, 'utf8')
    expect(page).toContain("default-src 'none'")
    expect(page).not.toMatch(/<script|src=|href=|\u202e/)
  })

  it.each(inDepth('finds whatever was changed in it, and a page that says something else'))('%s', async () => {
    const page = await readFile(await makeBundle(), 'utf8')
    const changed = join(root, 'changed.html')
    const [, base64 = ''] = /hidden>([^<]+)</.exec(page) ?? []
    const bundle: { entries: { index: number; entry: string }[]; checkpoint: string } = JSON.parse(
      Buffer.from(base64, 'base64').toString(),
    )
    const [first, second] = bundle.entries
    if (first === undefined || second === undefined) throw new Error('two entries were bundled')
    const changes: readonly object[] = [
      { ...bundle, entries: [{ ...first, entry: first.entry.replace('select', 'delete') }, second] },
      { ...bundle, entries: [{ ...first, index: 8 }, second] },
      { ...bundle, entries: [{ ...first, size: 299 }, second] },
      { ...bundle, checkpoint: bundle.checkpoint.replace('\n300\n', '\n301\n') },
      { ...bundle, checkpoint: 'x' },
    ]
    for (const change of changes) {
      await writeFile(changed, page.replace(base64, Buffer.from(JSON.stringify(change)).toString('base64')))
      const { code, out } = await check(changed, ...keys)
      expect(code, out).toBe(1)
      expect(out).toMatch(/FINDING/)
    }
    await writeFile(changed, page.replace('What happened', 'What did not happen'))
    expect(await check(changed, ...keys)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/believe these lines, not the page/),
    })
    await writeFile(changed, 'no bundle')
    expect((await check(changed)).code).toBe(2)
    expect((await check(changed, '--log-key', 'x')).code).toBe(2)
  })
})

describe('log export', () => {
  it('writes events as they are, or as OCSF', async () => {
    const state = await makeState()
    const lines = (await run('export', state, '--from', '298')).out.trim().split('\n')
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([{ index: 298, type: 'statement' }, { index: 299 }])
    const ocsf = (await run('export', state, '--as', 'ocsf', '--count', '2')).out.trim().split('\n')
    expect(ocsf.map((line): unknown => JSON.parse(line))).toMatchObject([
      { class_uid: 6003, metadata: { uid: 'gate.example/log/0' } },
      { metadata: { sequence: 1 } },
    ])
    expect((await run('export', state, '--as', 'xml')).code).toBe(2)
  })
})

it('each command says how it ends in its help', async () => {
  const { code, out } = await run('verify', '--help')
  expect(code).toBe(0)
  expect(out).toMatch(/truncation is not excluded/)
  expect(out).toMatch(/What is trusted/)
})
