import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { MemorySeal } from '../../../../../tests/fakes/memory-seal.ts'
import { folderCopySchema } from './copy.ts'
import { folder } from './index.ts'
import { restoreFolder } from './restore.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-folders-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const options = { report: () => undefined, signal: new AbortController().signal }
const open = (): string => mkdtempSync(join(root, 'kept-'))

async function copyAndRestore(place: string): Promise<{ readonly restored: string; readonly seal: MemorySeal }> {
  const seal = new MemorySeal()
  const { manifest } = await folder.open(place).copy(seal, options)
  const restored = open()
  await restoreFolder(folderCopySchema.parse(manifest), seal, restored, options)
  return { restored, seal }
}

describe('a folder kept whole', () => {
  it('comes back with permissions, times, links, several names of one file, and names that are no text', async () => {
    const place = open()
    const names = ['-rf', ' ', '*', 'a\nb', 'a\tb', '\u202egnp.exe', '$(reboot)', '..x', 'ä', 'a\u0308', 'n'.repeat(255)]
    for (const name of names) writeFileSync(join(place, name), name)
    const bytes = Buffer.concat([Buffer.from(`${place}/`), Buffer.from([0x66, 0xff, 0xfe])])
    writeFileSync(bytes, 'no text')
    mkdirSync(join(place, 'closed'), { mode: 0o700 })
    writeFileSync(join(place, 'closed', 'within'), 'x')
    chmodSync(join(place, 'closed'), 0o500)
    writeFileSync(join(place, 'program'), '#!/bin/sh\n')
    chmodSync(join(place, 'program'), 0o4755)
    linkSync(join(place, 'program'), join(place, 'same program'))
    symlinkSync('/etc/passwd', join(place, 'outside'))
    symlinkSync('nowhere', join(place, 'dangling'))
    mkdirSync(join(place, 'empty'))
    writeFileSync(join(place, 'nothing'), '')
    const { restored } = await copyAndRestore(place)
    for (const name of names) expect(readFileSync(join(restored, name), 'utf8')).toBe(name)
    expect(readFileSync(Buffer.concat([Buffer.from(`${restored}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'utf8')).toBe('no text')
    expect(statSync(join(restored, 'closed')).mode & 0o7777).toBe(0o500)
    expect(statSync(join(restored, 'program')).mode & 0o7777).toBe(0o4755)
    expect(statSync(join(restored, 'same program')).ino).toBe(statSync(join(restored, 'program')).ino)
    expect(lstatSync(join(restored, 'outside')).isSymbolicLink()).toBe(true)
    expect(lstatSync(join(restored, 'dangling')).isSymbolicLink()).toBe(true)
    expect(statSync(join(restored, 'nothing')).size).toBe(0)
    const times = [place, restored].map((at) => Math.round(statSync(join(at, 'program')).mtimeMs))
    expect(times[0]).toBe(times[1])
    chmodSync(join(place, 'closed'), 0o700)
    chmodSync(join(restored, 'closed'), 0o700)
  })

  it('keeps holes as holes, and sends nothing for them', async () => {
    const place = open()
    const file = openSync(join(place, 'sparse'), 'w')
    writeSync(file, 'begin', 0)
    writeSync(file, 'middle', 12 * 1024 * 1024)
    closeSync(file)
    truncateSync(join(place, 'sparse'), 24 * 1024 * 1024)
    const { restored, seal } = await copyAndRestore(place)
    const sealed = [...seal.parts.values()].reduce((sum, part) => sum + part.length, 0)
    expect(sealed).toBeLessThan(64 * 1024)
    const { size, blocks } = statSync(join(restored, 'sparse'))
    expect(size).toBe(24 * 1024 * 1024)
    expect(blocks * 512).toBeLessThan(1024 * 1024)
    const same = execFileSync('cmp', [join(place, 'sparse'), join(restored, 'sparse')], { stdio: 'pipe' })
    expect(same.length).toBe(0)
  })

  it('follows no link out of the folder, neither when it copies nor when it restores', async () => {
    const place = open()
    const outside = open()
    writeFileSync(join(outside, 'secret'), 'not part of it')
    symlinkSync(outside, join(place, 'way out'))
    const seal = new MemorySeal()
    const { manifest } = await folder.open(place).copy(seal, options)
    for (const part of seal.parts.values()) expect(part.toString()).not.toContain('not part of it')
    // Whoever could write entries would want to write through the link.
    const copy = folderCopySchema.parse(manifest)
    const entries = seal.parts.get(copy.entriesPart)?.toString() ?? ''
    expect(entries).toContain('"what":"link"')
    const through = JSON.stringify({
      what: 'folder',
      path: Buffer.from('way out/in').toString('base64'),
      mode: 0o755,
      uid: 0,
      gid: 0,
      mtimeNs: '0',
    })
    for (const path of ['way out/in', '../in', '/in', 'a/../../in']) {
      const text = Buffer.from(
        `${entries}${through.replace(Buffer.from('way out/in').toString('base64'), Buffer.from(path).toString('base64'))}\n`,
      )
      const { createHash } = await import('node:crypto')
      const forged = { ...copy, entries: copy.entries + 1, entriesSha256: createHash('sha256').update(text).digest('hex') }
      seal.parts.set(copy.entriesPart, text)
      await expect(restoreFolder(forged, seal, open(), options)).rejects.toThrow(/no path inside|lies in no folder/)
    }
  })

  it('passes over what holds nothing, and says so', async () => {
    const place = open()
    execFileSync('mkfifo', [join(place, 'pipe')])
    writeFileSync(join(place, 'file'), 'x')
    const { manifest, rows } = await folder.open(place).copy(new MemorySeal(), options)
    expect(rows).toBe(1)
    expect(folderCopySchema.parse(manifest).passed).toEqual(['pipe'])
  })

  it.each([
    ['a file grows', (place: string) => appendFileSync(join(place, 'file'), 'more')],
    ['a file is written in place, as long as before', (place: string) => writeFileSync(join(place, 'file'), 'y'.repeat(1000))],
    ['a file comes', (place: string) => writeFileSync(join(place, `new ${Math.random()}`), '')],
    ['permissions change', (place: string) => chmodSync(join(place, 'file'), (statSync(join(place, 'file')).mode & 0o777) ^ 0o1)],
  ])('is not copied in part when, each time it is read, %s', async (_what, disturb) => {
    const place = open()
    writeFileSync(join(place, 'file'), 'x'.repeat(1000))
    writeFileSync(join(place, 'other'), 'x')
    const seal = new MemorySeal()
    const put = seal.put.bind(seal)
    seal.put = (part) => {
      const disturbed = async function* (): AsyncIterable<Uint8Array> {
        yield* part.bytes
        disturb(place)
      }
      return put({ ...part, bytes: disturbed() })
    }
    await expect(folder.open(place).copy(seal, options)).rejects.toThrow(/changed while it was read/)
  })

  it('is copied by the next try when it changed during the first', async () => {
    const place = open()
    writeFileSync(join(place, 'file'), 'before')
    const seal = new MemorySeal()
    const put = seal.put.bind(seal)
    let once = true
    seal.put = (part) => {
      const disturbed = async function* (): AsyncIterable<Uint8Array> {
        yield* part.bytes
        if (once) writeFileSync(join(place, 'file'), 'after, and longer')
        once = false
      }
      return put({ ...part, bytes: disturbed() })
    }
    const { manifest } = await folder.open(place).copy(seal, options)
    const restored = open()
    await restoreFolder(folderCopySchema.parse(manifest), seal, restored, options)
    expect(readFileSync(join(restored, 'file'), 'utf8')).toBe('after, and longer')
  })
})
