import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isMap, parseDocument, visit, type Document } from 'yaml'
import { CommandFailure, exitCodes } from './failure.ts'
import { writePrivateFile } from './state-directory.ts'

/** sallyport.yaml as text to be edited: comments and order are kept. The gate checks what it says; here only what must be there to edit it. */
export interface ConfigurationFile {
  readonly path: string
  readonly document: Document
}

const sizeMaxBytes = 1024 * 1024
/** As the gate reads names. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/

export function openConfigurationFile(path: string): ConfigurationFile {
  if (!existsSync(path)) {
    throw new CommandFailure(
      exitCodes.usage,
      'no_configuration',
      `There is no configuration file ${path}.`,
      'Nothing was changed.',
      'Write one with `sallyport init`, or name it with --config.',
    )
  }
  if (statSync(path).size > sizeMaxBytes) throw unreadable(path, 'it is larger than 1 MiB')
  const document = parseDocument(readFileSync(path, 'utf8'))
  const [error] = document.errors
  if (error) throw unreadable(path, error.message.split('\n')[0] ?? 'it is not YAML')
  if (!isMap(document.contents)) throw unreadable(path, 'it holds no settings')
  return { path, document }
}

function unreadable(path: string, why: string): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'unreadable',
    `${path} cannot be read: ${why}.`,
    'Nothing was changed.',
    'Correct it, then try again.',
  )
}

/** Adds `name` under `section` (`upstreams`, `agents`). Refuses to replace. */
export function addEntry(file: ConfigurationFile, section: 'upstreams' | 'agents', name: string, value: unknown): void {
  requireName(name)
  const { document, path } = file
  if (document.hasIn([section, name])) {
    throw new CommandFailure(
      exitCodes.usage,
      'exists',
      `${path} already has ${name} under ${section}.`,
      'Nothing was changed.',
      'Take another name, or edit the file by hand.',
    )
  }
  const present: unknown = document.get(section, true)
  if (present !== undefined && !isMap(present)) document.delete(section)
  document.setIn([section, name], document.createNode(value))
}

export function requireName(name: string): void {
  if (namePattern.test(name)) return
  throw new CommandFailure(
    exitCodes.usage,
    'unreadable',
    'That is no good name.',
    'Nothing was changed.',
    'A name is letters, digits, "_", "." and "-", at most 63.',
  )
}

export function namesUnder(file: ConfigurationFile, section: 'upstreams' | 'agents'): readonly string[] {
  const present: unknown = file.document.get(section, true)
  return isMap(present) ? present.items.map((item) => String(item.key)) : []
}

/** Which wire language an upstream speaks, as it is written; a configuration with mistakes may say anything. */
export function protocolOf(file: ConfigurationFile, upstream: string): string {
  const protocol: unknown = file.document.getIn(['upstreams', upstream, 'protocol'])
  return typeof protocol === 'string' ? protocol : 'postgres'
}

export interface NamedReference {
  readonly upstream: string
  /** `as`: what one agent's statements run as, instead of `use`. */
  readonly role: 'use' | 'protect' | 'as'
  /** Of `as` only. */
  readonly agent: string | null
  readonly reference: string
}

/** Every `env:`, `file:` and `exec:` reference in the upstreams. */
export function readReferences(file: ConfigurationFile): readonly NamedReference[] {
  return namesUnder(file, 'upstreams').flatMap((upstream) => {
    const shared = (['use', 'protect'] as const).flatMap((role): readonly NamedReference[] => {
      const reference = file.document.getIn(['upstreams', upstream, role])
      return typeof reference === 'string' ? [{ upstream, role, agent: null, reference }] : []
    })
    const own: unknown = file.document.getIn(['upstreams', upstream, 'as'], true)
    const agents = isMap(own) ? own.items.map((item) => String(item.key)) : []
    return [
      ...shared,
      ...agents.flatMap((agent): readonly NamedReference[] => {
        const reference = file.document.getIn(['upstreams', upstream, 'as', agent])
        return typeof reference === 'string' ? [{ upstream, role: 'as', agent, reference }] : []
      }),
    ]
  })
}

/** The files of all `file:` references, wherever they stand: what an agent would look for first. None when the configuration cannot be read. */
export function credentialFiles(configuration: string): readonly string[] {
  try {
    const found: string[] = []
    visit(openConfigurationFile(configuration).document, {
      Scalar: (_, { value }) => {
        if (typeof value === 'string' && value.startsWith('file:')) found.push(value.slice('file:'.length))
      },
    })
    return found.map((path) => resolve(dirname(configuration), path))
  } catch {
    return []
  }
}

export function saveConfigurationFile(file: ConfigurationFile): void {
  // Through a link to the file itself, and with the mode it had: it holds no secret and may be in version control.
  const path = realpathSync(file.path)
  const mode = statSync(path).mode & 0o777
  writePrivateFile(path, file.document.toString({ lineWidth: 0 }))
  chmodSync(path, mode)
}

/** Writes one credential beside the configuration, 0600, and gives the reference that names it. Refuses to replace. */
export function writeCredential(configurationPath: string, name: string, role: 'use' | 'protect', url: string): string {
  const folder = join(dirname(configurationPath), 'secrets')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${name}.${role}`)
  if (existsSync(path)) {
    throw new CommandFailure(
      exitCodes.usage,
      'exists',
      `${path} is there already.`,
      'Nothing was changed.',
      'Move it away, or take another name.',
    )
  }
  writePrivateFile(path, `${url}\n`)
  return `file:secrets/${name}.${role}`
}
