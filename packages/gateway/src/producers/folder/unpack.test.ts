import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../../tests/fakes/memory-seal.ts'
import { folderCopySchema, type FolderCopy } from './copy.ts'
import { folder } from './index.ts'
import { unpackFolder } from './unpack.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-unpack-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const options = { report: () => undefined, signal: new AbortController().signal, outwardLinks: false }
const open = (): string => mkdtempSync(join(root, 'place-'))
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const common = { uid: 0, gid: 0, mtimeNs: '0' }

/** What `vault recover` writes of a copy: parts as files, and the description beside them. */
function lay(seal: MemorySeal, copy: FolderCopy, kind = 'folder'): string {
  const from = open()
  for (const [name, bytes] of seal.parts) {
    mkdirSync(dirname(join(from, 'parts', name)), { recursive: true })
    writeFileSync(join(from, 'parts', name), bytes)
  }
  writeFileSync(
    join(from, 'snapshot.json'),
    JSON.stringify({ snapshot: { id: 'a'.repeat(64), kind }, manifest: copy, parts: [] }),
  )
  return from
}

async function copied(fill: (place: string) => void): Promise<{ readonly seal: MemorySeal; readonly copy: FolderCopy }> {
  const place = open()
  fill(place)
  const seal = new MemorySeal()
  const { manifest } = await folder.open(place).copy(seal, options)
  return { seal, copy: folderCopySchema.parse(manifest) }
}

/** A copy whose entries somebody wrote by hand. */
async function hostile(entries: readonly object[], changed: Partial<FolderCopy> = {}): Promise<string> {
  const { seal, copy } = await copied((place) => writeFileSync(join(place, 'file'), 'content'))
  const kept = seal.parts.get(copy.entriesPart)?.toString() ?? ''
  const text = Buffer.from(kept + entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  seal.parts.set(copy.entriesPart, text)
  const entriesSha256 = createHash('sha256').update(text).digest('hex')
  return lay(seal, { ...copy, entries: copy.entries + entries.length, entriesSha256, ...changed })
}

describe('unpacking a copy of a folder', () => {
  it('makes it again, with links that stay inside, several names of one file and no bits that give rights', async () => {
    const { seal, copy } = await copied((place) => {
      mkdirSync(join(place, 'deep'))
      writeFileSync(join(place, 'deep', 'file'), 'content')
      linkSync(join(place, 'deep', 'file'), join(place, 'same'))
      writeFileSync(join(place, 'program'), '#!/bin/sh\n')
      chmodSync(join(place, 'program'), 0o4755)
      symlinkSync('../same', join(place, 'deep', 'up'))
      symlinkSync('deep/file', join(place, 'down'))
    })
    const to = join(open(), 'new')
    expect(await unpackFolder(lay(seal, copy), to, options)).toMatchObject({ files: 3, folder: to, linksLeft: [] })
    expect(readFileSync(join(to, 'deep', 'up'), 'utf8')).toBe('content')
    expect(statSync(join(to, 'same')).ino).toBe(statSync(join(to, 'deep', 'file')).ino)
    expect(statSync(join(to, 'program')).mode & 0o7777).toBe(0o755)
  })

  it('leaves links out that lead out, by whatever way, and names them', async () => {
    const targets = ['/etc/passwd', '../outside', 'in/../../outside', 'in/back/../x', '..', '']
    const links = targets.slice(0, -1).map((target, place) => ['link', `l${place}`, target] as const)
    const from = await hostile([
      { what: 'folder', path: base64('in'), mode: 0o755, ...common },
      { what: 'link', path: base64('in/back'), target: base64('..'), ...common },
      ...links.map(([what, path, target]) => ({ what, path: base64(path), target: base64(target), ...common })),
    ])
    const to = join(open(), 'new')
    const { linksLeft } = await unpackFolder(from, to, options)
    expect(linksLeft).toEqual(links.map(([, path]) => path))
    expect(readdirSync(to).toSorted()).toEqual(['file', 'in'])
    const all = join(open(), 'all')
    await unpackFolder(from, all, { ...options, outwardLinks: true })
    expect(lstatSync(join(all, 'l0')).isSymbolicLink()).toBe(true)
  })

  it.each([
    ['a path that leaves the folder', [{ what: 'folder', path: base64('../out'), mode: 0o755, ...common }]],
    ['a path from the root', [{ what: 'folder', path: base64('/out'), mode: 0o755, ...common }]],
    [
      'a file that goes through a link',
      [
        { what: 'link', path: base64('way'), target: base64('file'), ...common },
        { what: 'folder', path: base64('way/in'), mode: 0o755, ...common },
      ],
    ],
    ['a device', [{ what: 'device', path: base64('sda'), mode: 0o666, ...common }]],
    ['a file twice', [{ what: 'folder', path: base64('file'), mode: 0o755, ...common }]],
    [
      'permissions that follow a link to what is not its own',
      [
        { what: 'link', path: base64('way'), target: base64('file'), ...common },
        { ...fileEntry('other', 0), same: base64('way') },
      ],
    ],
    ['a file larger than any disk, made of a hole', [fileEntry('bomb', Number.MAX_SAFE_INTEGER)]],
    ['data that it does not have', [{ ...fileEntry('more', 100), data: [[0, 100]], at: 7 }]],
  ])('refuses %s, and leaves nothing behind', async (_, entries) => {
    const to = join(open(), 'new')
    await expect(unpackFolder(await hostile(entries), to, options)).rejects.toThrow()
    expect(existsSync(to)).toBe(false)
    expect(existsSync(join(dirname(to), 'out'))).toBe(false)
  })

  it('reads no part from elsewhere, nor through a link', async () => {
    const { seal, copy } = await copied((place) => writeFileSync(join(place, 'file'), 'content'))
    const to = join(open(), 'new')
    await expect(unpackFolder(lay(seal, { ...copy, entriesPart: '../snapshot.json' }), to, options)).rejects.toThrow(/no path/)
    const from = lay(seal, copy)
    const part = join(from, 'parts', copy.dataParts[0] ?? '')
    rmSync(part)
    symlinkSync('/etc/passwd', part)
    await expect(unpackFolder(from, to, options)).rejects.toThrow()
    expect(existsSync(to)).toBe(false)
  })

  it('refuses other bytes, another kind, and a place that is there', async () => {
    const { seal, copy } = await copied((place) => writeFileSync(join(place, 'file'), 'content'))
    const to = join(open(), 'new')
    await expect(unpackFolder(lay(seal, copy, 'bucket'), to, options)).rejects.toThrow(/kind bucket/)
    seal.parts.set(copy.dataParts[0] ?? '', Buffer.from('CONTENT'))
    await expect(unpackFolder(lay(seal, copy), to, options)).rejects.toThrow(/other bytes/)
    const there = open()
    writeFileSync(join(there, 'mine'), 'mine')
    await expect(unpackFolder(lay(seal, copy), there, options)).rejects.toThrow(/EEXIST/)
    expect(readFileSync(join(there, 'mine'), 'utf8')).toBe('mine')
  })
})

function fileEntry(path: string, bytes: number): object {
  const sha256 = createHash('sha256').digest('hex')
  return { what: 'file', path: base64(path), mode: 0o666, ...common, bytes, sha256, data: [], part: 0, at: 7, same: null }
}
