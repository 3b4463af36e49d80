import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { commandTable } from '../packages/cli/src/cli.ts'
import { parseConfig } from '../packages/gateway/src/config.ts'
import { listFiles, projectRoot } from '../tools/source-tree.ts'

type Command = ReturnType<Awaited<ReturnType<(typeof commandTable)[number]['load']>>['makeCommand']>

interface Page {
  readonly path: string
  readonly text: string
}

const pages: readonly Page[] = listFiles(projectRoot)
  .filter((path) => path.endsWith('.md') && !path.includes('/cases/'))
  .map((path) => ({ path, text: readFileSync(join(projectRoot, path), 'utf8') }))

const fencePattern = /^```(\w*)\n(.*?)^```/gms
const codePattern = /`([^`]+)`/g

function fencesOf({ text }: Page, language: string): readonly string[] {
  return [...text.matchAll(fencePattern)].filter(([, said]) => said === language).map(([, , body = '']) => body)
}

/** Lines of `sh` fences, and code within sentences, which may go on over the end of a line. */
function commandLinesOf(page: Page): readonly string[] {
  const sentences = page.text.replace(fencePattern, '')
  const spans = [...sentences.matchAll(codePattern)].map(([, span = '']) => span.replace(/\s+/g, ' '))
  const lines = fencesOf(page, 'sh').flatMap((body) => body.replaceAll('\\\n', ' ').split('\n'))
  return [...spans, ...lines.map((line) => line.replace(/(^|\s)#.*$/, ''))]
}

/** The words after `sallyport`, as far as they are its own: up to a pipe, a redirection, another command or `--`. */
function wordsOf(line: string): readonly string[] | null {
  const words = /^\s*(?:[^|]*\|\s*)?(?:npx )?sallyport (?<rest>[a-z].*)$/.exec(line)?.groups?.['rest']
  // Names of keys in formats, such as `sallyport vault chunk salt v1`.
  if (words === undefined || words.endsWith(' v1')) return null
  const own = words.split(/\s(?:[|<>;&]|&&|--(?=\s|$))/)[0] ?? ''
  return own
    .replace(/[[\]…,]/g, ' ')
    .trim()
    .split(/\s+/)
}

/** What is wrong with it, or null. */
async function findFault(words: readonly string[]): Promise<string | null> {
  const entry = commandTable.find(({ name }) => name === words[0])
  if (entry === undefined) return `there is no command ${words[0]}`
  let command: Command = (await entry.load()).makeCommand()
  const known = new Set(['--help', '--version'])
  for (const [index, word] of words.entries()) {
    for (const { long } of command.options) if (typeof long === 'string') known.add(long)
    if (index === 0) continue
    const child = command.commands.find((candidate) => candidate.name() === word)
    if (child !== undefined) command = child
    else if (command.commands.length > 0 && /^[a-z-]+$/.test(word) && !word.startsWith('-')) return `it has no ${word}`
  }
  for (const { long } of command.options) if (typeof long === 'string') known.add(long)
  const unknown = words.filter((word) => word.startsWith('--')).find((word) => !known.has(word.split('=')[0] ?? ''))
  return unknown === undefined ? null : `it has no ${unknown}`
}

/** Fences with the gate's own settings. One that begins with a comment naming another file is for another program. */
function settingsOf(page: Page): readonly string[] {
  return fencesOf(page, 'yaml').filter((fence) => !/^# .*\.ya?ml$/m.test(fence.split('\n')[0] ?? ''))
}

const mapping = z.record(z.string(), z.unknown())

/** What the fences of a page say together, with what they leave out filled in, so that it is read as the gate would read it. */
function complete(fences: readonly string[]): string {
  const said = fences.map((fence) => mapping.parse(parse(fence) ?? {}))
  const all = (key: string, otherwise: object): object => {
    const named = said.flatMap((one) => Object.entries(mapping.parse(one[key] ?? {})))
    return Object.fromEntries(named.map(([name, one]) => [name, { ...otherwise, ...mapping.parse(one) }]))
  }
  const upstream = { protocol: 'postgres', use: 'env:USE', protect: 'env:PROTECT' }
  const agent = { owner: 'ada', may: ['read orders-db'] }
  const rest: object = Object.assign({}, ...said)
  return stringify({
    version: 1,
    mode: 'team',
    ...rest,
    upstreams: { 'orders-db': upstream, ...all('upstreams', upstream) },
    agents: { coder: agent, ...all('agents', agent) },
  })
}

describe('what the documents tell people to type', () => {
  it('is read at all: every page, hundreds of commands', () => {
    expect(pages.length).toBeGreaterThan(20)
    expect(pages.flatMap(commandLinesOf).filter((line) => wordsOf(line) !== null).length).toBeGreaterThan(60)
  })

  it.each(pages)('$path: commands and options that exist', async (page) => {
    const faults = []
    for (const line of commandLinesOf(page)) {
      const words = wordsOf(line)
      const fault = words === null ? null : await findFault(words)
      if (fault !== null) faults.push(`${line}: ${fault}`)
    }
    expect(faults).toEqual([])
  })

  it('a command or an option that does not exist is found', async () => {
    expect(await findFault(['vault', 'erase'])).toBe('it has no erase')
    expect(await findFault(['kill', '--everything'])).toBe('it has no --everything')
    expect(await findFault(['destroy'])).toBe('there is no command destroy')
    expect(await findFault(['vault', 'verify', '--sample', '0.05'])).toBeNull()
  })

  it.each(pages.filter((page) => settingsOf(page).length > 0))('$path: settings that the gate takes', (page) => {
    // Read one after the other: what stands further down may build on what was said before.
    for (const [index] of settingsOf(page).entries()) {
      const text = complete(settingsOf(page).slice(0, index + 1))
      const result = parseConfig(text, 'sallyport.yaml')
      expect(result.ok ? [] : result.mistakes.map(({ what, hint }) => `${what} (${hint}) in\n${text}`)).toEqual([])
    }
  })
})

describe('where the documents lead', () => {
  const scripts = mapping.parse(mapping.parse(JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')))['scripts'])

  it.each(pages)('$path: files, headings and scripts that exist', (page) => {
    const links = [...page.text.matchAll(/\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)/g)]
    const broken = links.filter(([, path = '', anchor]) => {
      const file = path === '' ? page.path : join(dirname(page.path), path)
      if (!existsSync(join(projectRoot, file))) return true
      return anchor !== undefined && !headingsOf(file).has(anchor.slice(1))
    })
    expect(broken.map(([link]) => link)).toEqual([])
    const named = commandLinesOf(page).flatMap((line) => [...line.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name))
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([])
  })
})

/** As GitHub makes anchors of headings. */
function headingsOf(path: string): ReadonlySet<string> {
  const text = readFileSync(join(projectRoot, path), 'utf8').replace(fencePattern, '')
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}
