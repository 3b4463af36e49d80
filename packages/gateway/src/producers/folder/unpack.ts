import { constants } from 'node:fs'
import { mkdir, open, readFile, rm, stat, statfs } from 'node:fs/promises'
import { join, posix, resolve } from 'node:path'
import { z } from 'zod'
import { folderCopySchema, type CopyOptions } from './copy.ts'
import { checkedPath, type LinkEntry } from './entry.ts'
import { compareFolder, restoreFolder } from './restore.ts'

const descriptionBytesMax = 256 << 20
const readBytes = 1 << 20
const linksNamedMax = 1_000

/** What `vault restore` and `vault recover` write beside the parts. */
const descriptionShape = z.object({ snapshot: z.object({ id: z.string(), kind: z.string() }), manifest: z.json() })

export interface Unpacked {
  readonly snapshot: string
  readonly folder: string
  readonly things: number
  readonly files: number
  readonly bytes: number
  /** Links that lead out of the folder, which were not made. */
  readonly linksLeft: readonly string[]
}

/**
 * Makes the folder again that a copy of kind `folder` is of, out of what was restored to `from`, with no gate and no vault. `to` is new and ours, or nothing
 * is done; what fails leaves nothing behind. The copy may be hostile: nothing of it is written outside of `to`, none of it gets an owner, a set-user or
 * set-group bit or a link that leads out, and all of it must fit into what room there is, holes included.
 */
export async function unpackFolder(
  from: string,
  to: string,
  options: CopyOptions & { readonly outwardLinks: boolean },
): Promise<Unpacked> {
  const { snapshot, manifest } = descriptionShape.parse(
    JSON.parse((await readBounded(join(from, 'snapshot.json'))).toString('utf8')),
  )
  if (snapshot.kind !== 'folder') throw new Error(`the copy is of kind ${snapshot.kind}, and only one of kind folder is unpacked`)
  const copy = folderCopySchema.parse(manifest)
  const place = resolve(to)
  await mkdir(place, { mode: 0o700 })
  try {
    const linksLeft: string[] = []
    const { bavail, bsize } = await statfs(place)
    const limits = {
      modeMask: 0o777,
      bytesMax: bavail * bsize,
      takesLink: (entry: LinkEntry) => {
        if (options.outwardLinks || staysInside(entry)) return true
        if (linksLeft.length < linksNamedMax) linksLeft.push(checkedPath(entry.path).toString())
        return false
      },
    }
    const reader = { read: (name: string) => readPart(join(from, 'parts'), name) }
    const entries = await restoreFolder(copy, reader, place, options, limits)
    await compareFolder(entries, place, options)
    return { snapshot: snapshot.id, folder: place, things: entries.length, files: copy.files, bytes: copy.bytes, linksLeft }
  } catch (error) {
    await rm(place, { recursive: true, force: true })
    throw error
  }
}

/** Whether following it ends below the folder again, whatever other links there are: it names no place above itself, nor one from the root. */
function staysInside(entry: LinkEntry): boolean {
  const target = Buffer.from(entry.target, 'base64').toString('latin1')
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false
  const path = checkedPath(entry.path).toString('latin1')
  // A `..` behind a name could be behind another link, which leads elsewhere than its name says.
  const inner = target.replace(/^(?:\.\.?\/)*(?:\.\.?$)?/, '')
  if (inner.split('/').includes('..')) return false
  const end = posix.join('/root', posix.dirname(path), target)
  return end === '/root' || end.startsWith('/root/')
}

async function readBounded(path: string): Promise<Buffer> {
  const { size } = await stat(path)
  if (size > descriptionBytesMax) throw new Error('its description is larger than any that is written')
  return await readFile(path)
}

/** @throws Error for a name that would leave the folder, and for what is no plain file */
async function* readPart(parts: string, name: string): AsyncGenerator<Uint8Array, void, undefined> {
  const path = checkedPath(Buffer.from(name).toString('base64')).toString()
  await using file = await open(join(parts, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) throw new Error(`${JSON.stringify(name)} is no plain file`)
  for (;;) {
    const buffer = Buffer.allocUnsafe(readBytes)
    const { bytesRead } = await file.read(buffer, 0, readBytes)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
