import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'

/** One file of the built app: its name holds the hash of what is in it. */
export interface BuiltFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The same, gzipped. */
  readonly packed: Uint8Array<ArrayBuffer>
  readonly contentType: string
}

/** The app, as `npm ci` built it. */
export interface Built {
  /** The script that a page begins with, and its style sheet. */
  readonly script: string
  readonly style: string
  /** The script and all that is loaded before it runs. */
  readonly first: readonly string[]
  /** By name; nothing else is served. */
  readonly files: ReadonlyMap<string, BuiltFile>
}

/** What the build leaves beside its files. */
export const builtShape = z.strictObject({
  /** Of all that it was made from: another hash means that it is out of date. */
  sourcesSha256: z.string(),
  script: z.string(),
  style: z.string(),
  /** The script and all that is loaded before it runs. */
  first: z.array(z.string()),
  files: z.array(z.string().regex(/^[A-Za-z0-9_.-]{1,128}\.(?:js|css)$/)).max(200),
})

export const builtFolder = new URL('../dist/', import.meta.url)

/** Read once, whole: no path from outside ever reaches the disk. Null: it was not built here, and the server-rendered pages are all there is. */
export function readBuilt(folder: URL = builtFolder): Built | null {
  const list = new URL('built.json', folder)
  if (!existsSync(list)) return null
  const { script, style, first, files } = builtShape.parse(JSON.parse(readFileSync(list, 'utf8')))
  return { script, style, first, files: new Map(files.map((name) => [name, readOne(folder, name)])) }
}

function readOne(folder: URL, name: string): BuiltFile {
  return {
    bytes: new Uint8Array(readFileSync(new URL(name, folder))),
    packed: new Uint8Array(readFileSync(new URL(`${name}.gz`, folder))),
    contentType: name.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
  }
}
