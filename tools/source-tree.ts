import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const projectRoot = resolve(fileURLToPath(new URL('..', import.meta.url)))

/** Every file of the working tree that is tracked or would be: ignored files are left out, files not added yet are in. Sorted, with `/`. */
export function listFiles(root: string): readonly string[] {
  const output = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const files = new Set(output.split('\0').filter((file) => file !== '' && existsSync(join(root, file))))
  return [...files].toSorted()
}

export interface TreeCopy {
  readonly root: string
  remove(): void
}

/**
 * A copy of the working tree in which the workspaces' names lead to the copy. A plain link to `node_modules` would not do:
 * `@sallyport/core` would still be the original, and a change planted in the copy would never be run.
 */
export function copyTree(root: string): TreeCopy {
  const copy = realpathSync(mkdtempSync(join(tmpdir(), 'sallyport-tree-')))
  for (const file of listFiles(root)) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(root, file), join(copy, file))
  }
  linkModules(root, copy, 'node_modules')
  return { root: copy, remove: () => rmSync(copy, { recursive: true, force: true }) }
}

/** Links each installed package one by one; what points into the tree is pointed into the copy. */
function linkModules(root: string, copy: string, folder: string): void {
  mkdirSync(join(copy, folder), { recursive: true })
  for (const name of readdirSync(join(root, folder))) {
    const path = join(folder, name)
    if (name === '.bin' || (name.startsWith('@') && !lstatSync(join(root, path)).isSymbolicLink())) {
      linkModules(root, copy, path)
      continue
    }
    if (name.startsWith('.')) continue
    symlinkSync(targetInCopy(root, copy, path), join(copy, path))
  }
}

function targetInCopy(root: string, copy: string, path: string): string {
  const original = join(root, path)
  if (!lstatSync(original).isSymbolicLink()) return original
  const target = resolve(dirname(original), readlinkSync(original))
  const inside = relative(root, realTarget(target))
  const ours = !inside.startsWith('..') && !inside.startsWith(`node_modules${sep}`)
  return ours ? join(copy, inside) : target
}

/** A workspace's program may not exist yet; its link is followed as far as it goes. */
function realTarget(target: string): string {
  if (existsSync(target)) return realpathSync(target)
  const folder = dirname(target)
  return folder === target ? target : join(realTarget(folder), relative(folder, target))
}
