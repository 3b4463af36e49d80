import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { unpackTar } from './base-backup-tar.ts'

let folder: string
let out: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-tar-test-'))
  out = join(folder, 'out')
  mkdirSync(out)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function* pieces(bytes: Buffer, size = 1_000): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

interface Entry {
  readonly path: string
  readonly type?: string
  readonly content?: string
  readonly size?: string
  readonly prefix?: string
}

/** One tar entry, with a header sum that is right. */
function entry({ path, type = '0', content = '', size, prefix = '' }: Entry): Buffer {
  const head = Buffer.alloc(512)
  head.write(path, 0, 100, 'latin1')
  head.write('0000600\0', 100)
  head.write(size ?? `${content.length.toString(8).padStart(11, '0')}\0`, 124)
  head.write('        ', 148)
  head.write(type, 156)
  head.write('ustar\x0000', 257)
  head.write(prefix, 345, 155, 'latin1')
  const sum = head.reduce((total, byte) => total + byte, 0)
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([head, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512)])
}

const end = Buffer.alloc(1024)

describe('unpackTar', () => {
  test.each([1, 7, 512, 1_000, 100_000])('unpacks what GNU tar made, given in pieces of %i bytes', async (size) => {
    const source = join(folder, 'source')
    mkdirSync(join(source, 'base', '5'), { recursive: true })
    for (const [name, bytes] of [
      ['PG_VERSION', 3],
      ['empty', 0],
      ['base/5/1259', 8_192],
      ['base/5/odd', 700],
    ] as const)
      writeFileSync(join(source, name), Buffer.alloc(bytes, name))
    const tar = execFileSync('tar', ['--format=ustar', '-cf', '-', '-C', source, 'PG_VERSION', 'empty', 'base'])
    const unpacked = await unpackTar(pieces(tar, size), out, null)
    expect(unpacked.bytes).toBe(3 + 8_192 + 700)
    for (const name of ['PG_VERSION', 'empty', 'base/5/1259', 'base/5/odd'])
      expect(readFileSync(join(out, name))).toEqual(readFileSync(join(source, name)))
    expect(statSync(join(out, 'PG_VERSION')).mode & 0o777).toBe(0o600)
    expect(statSync(join(out, 'base')).mode & 0o777).toBe(0o700)
  })

  test.each<[string, readonly Entry[]]>([
    ['leads out', [{ path: '../escaped', content: 'x' }]],
    ['leads out in the middle', [{ path: 'base/../../escaped', content: 'x' }]],
    ['is absolute', [{ path: '/tmp/escaped', content: 'x' }]],
    ['leads out by its prefix', [{ path: 'escaped', prefix: '..', content: 'x' }]],
    ['is a symbolic link', [{ path: 'link', type: '2' }]],
    ['is a hard link', [{ path: 'link', type: '1' }]],
    ['is a device', [{ path: 'device', type: '3' }]],
    ['is a GNU long name', [{ path: 'name', type: 'L', content: 'x' }]],
    ['is a pax header', [{ path: 'name', type: 'x', content: 'x' }]],
    [
      'is there twice',
      [
        { path: 'twice', content: 'a' },
        { path: 'twice', content: 'b' },
      ],
    ],
    [
      'is a file and then a folder',
      [
        { path: 'both', content: 'a' },
        { path: 'both/in', content: 'b' },
      ],
    ],
    ['has a size that is none', [{ path: 'size', size: '9999999999z\0' }]],
    ['has a negative size', [{ path: 'size', size: '-0000000001\0' }]],
    ['has a size in base 256', [{ path: 'size', size: '\x80\0\0\0\0\0\0\0\0\0\0\0' }]],
    ['is larger than a server writes', [{ path: 'size', size: '77777777777\0' }]],
    ['is nameless', [{ path: '', content: 'x' }]],
    ['holds a control character', [{ path: 'a\nb', content: 'x' }]],
  ])('refuses an entry that %s, and writes nothing outside', async (_, entries) => {
    const tar = Buffer.concat([...entries.map(entry), end])
    await expect(unpackTar(pieces(tar), out, null)).rejects.toThrow(/base backup|EEXIST|ENOTDIR|file already exists/)
    expect(readdirSync(folder)).toEqual(['out'])
    expect(existsSync('/tmp/escaped')).toBe(false)
  })

  test('refuses a changed header, an end in the middle, nothing at all, and something after the end', async () => {
    const good = Buffer.concat([entry({ path: 'PG_VERSION', content: '18\n' }), end])
    const changed = Buffer.from(good)
    changed.write('PG_VERSIOM', 0)
    const damaged = [changed, good.subarray(0, 700), good.subarray(0, 514), good.subarray(0, 100), Buffer.alloc(0), end]
    for (const bytes of [...damaged, Buffer.concat([good, Buffer.from('more')])]) {
      await expect(unpackTar(pieces(bytes), out, null)).rejects.toThrow('base backup')
      rmSync(join(out, 'PG_VERSION'), { force: true })
    }
    await expect(unpackTar(pieces(good), out, null)).resolves.toEqual({ files: 1, bytes: 3 })
  })
})
