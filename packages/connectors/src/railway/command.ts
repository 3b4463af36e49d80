import type { Describers, Json } from '@sallyport/core'
import { type Finding, unknown, worst, writes } from './finding.ts'
import { isList } from './given-value.ts'
import { judgeVariable } from './variable.ts'

/** UTF-16 units of one command; a longer one is a script. */
const commandLengthMax = 2_000

/** Programs that start or build an application out of what was deployed, or bring its schema up to date. */
const starters: ReadonlySet<string> = new Set(
  `node npm npx yarn pnpm bun bunx deno tsx ts-node next nuxt vite nest serve pm2 turbo nx python python3 pip poetry uv gunicorn uvicorn
  hypercorn daphne flask celery streamlit alembic ruby bundle rails rake puma rackup sidekiq java mvn gradle ./gradlew php composer caddy
  nginx go goose migrate cargo dotnet elixir mix make hugo redis-server echo sleep true`.split(/\s+/),
)
/** What `npx` and its like may fetch and run: tools by which applications are built, started and migrated. Any other package is anyone's code. */
const tools: ReadonlySet<string> = new Set(
  `prisma next nuxt vite nest astro remix-serve tsx ts-node tsc serve http-server turbo nx pm2 knex typeorm typeorm-ts-node-commonjs
  sequelize sequelize-cli drizzle-kit node-pg-migrate mikro-orm medusa strapi payload`.split(/\s+/),
)
/** A program or script that was deployed: what it does came with the deployment. */
const ownProgram =
  /^(?:(?:ba|da|z)?sh )?(?:\.\/|bin\/(?=(?:rails|rake|bundle|server|start|web|worker|release)(?: |$))|\/app\/|\/usr\/src\/app\/)[\w./-]+(?: |$)|^(?:ba|da|z)?sh [\w][\w./-]*\.sh(?: |$)/
/** Words, and variables in them: nothing that a shell would do something with. */
const plain = /^[\w@%+=:,./ ${}-]*$/
const substitution = /\$(?!\{?[A-Za-z_]\w*\}?)|[{}](?<!\$\{|\$\{\w+\})/
/** Words that hand a starter code, or a prompt for it, send what was deployed elsewhere, or print what variables hold into the logs. */
const inlineWord =
  /(?:^|[ :])(?:eval|repl|shell|dbshell|dbconsole|console|runner|dlx|publish|unpublish)(?= |$)|^(?:npm|bun) (?:x|exec|config|login|token|owner)(?= |$)|^go (?:run|install) .*@|^echo .*\$|--(?:eval|print|exec|execute|command|call|import|require|loader|experimental-loader|registry|index-url|extra-index-url)(?=[ =]|$)/
const inlineFlags: ReadonlyMap<RegExp, RegExp> = new Map([
  [/^(?:node|bun|deno|tsx|ts-node|ruby|elixir|mix|php)$/, / -(?:[a-zA-Z]*[ep]|r|R|B)(?= |$)/],
  [/^(?:python3?|npx|bunx)$/, / -[a-zA-Z]*c/],
])
/** Code from an address, or from above the folder of the application; all files of the machine; what a process was given. */
const foreign = /\.\.|:\/\/| \/(?: |$)|\/proc(?:\/|$)/
/** Parts of names of scripts that take away. */
const grave =
  /(?:^|[^a-z])(?:rm|rmdir|drop(?:db)?|fresh|resets?|flush(?:all|db)?|delet(?:e|es|ion)|destroy|truncate|wipe|purge|erase|nuke|kill|unlink|uninstall|undo|down|downgrade|rollback|revert|restore|load|overwrite|force|loss)(?:$|[^a-z])|:clean(?:$|[^a-z])|clean(?:up)?[-_:](?:all|data|db|prod|volume)|migrate:refresh/i

/** Ways to write a plain start that hold more than plain words; each is taken for what it says without them. */
const spellings: readonly (readonly [RegExp, string])[] = [
  [/(["'])daemon off;\1/g, 'daemon-off'],
  // quotes around what needs none
  [/"([\w$:./{}=-]{1,200})"/g, '$1'],
  [/\$\{(\w{1,80}):-[\w./]{1,80}\}/g, '$$$1'],
  // what a program loads first out of its own dependencies or its own code
  [
    / (?:-r|--require|--import)[ =](?:dotenv\/config|tsconfig-paths\/register|ts-node\/register|newrelic|tsx|\.\/[\w./-]{1,200})(?= |$)/g,
    '',
  ],
  // a migration is told by it that production is meant
  [/((?:artisan migrate|ace migration:run)(?: --\w{1,20}){0,3}) --force(?= |$)/g, '$1'],
]
const wrapped = /^(?:\/bin\/)?(?:ba|da)?sh -l?c (?:"([^"'\\`]+)"|'([^"'\\`]+)')$/
const assignment = /^([A-Z][A-Z0-9_]{0,80})=[\w@%+:,./$-]* /

/** What a command would do that Railway will run. */
export async function judgeCommand(given: Json, ask: Describers): Promise<Finding> {
  if (given === null) return writes('takes a command away')
  const commands = isList(given) ? given : [given]
  const findings: Finding[] = []
  for (const command of commands) {
    if (typeof command !== 'string' || command.length > commandLengthMax) return unknown('holds a command that can not be read')
    findings.push(isPlainStart(command) ? writes('starts an application') : await askShell(command, ask))
  }
  return worst(writes('sets what is run'), findings)
}

function isPlainStart(command: string): boolean {
  if (command.trim() === '') return true
  const [, double, single] = wrapped.exec(command.trim()) ?? []
  return (double ?? single ?? command).split('&&').every(isPlainPart)
}

function isPlainPart(part: string): boolean {
  const words = withoutAssignments(spellPlainly(part))
  if (words === null || !plain.test(words) || substitution.test(words) || grave.test(words) || foreign.test(words)) return false
  if (inlineWord.test(words)) return false
  if (ownProgram.test(words)) return true
  const [program = '', first = ''] = words.split(' ')
  if (program === 'npx' || program === 'bunx')
    return tools.has(first) && !hasInlineFlag(program, words) && !hasInlineFlag(first, words)
  return starters.has(program) && !hasInlineFlag(program, words)
}

function spellPlainly(part: string): string {
  const words = part.trim().replaceAll(/ +/g, ' ')
  return spellings.reduce((spelled, [pattern, plainly]) => spelled.replaceAll(pattern, plainly), words)
}

/** A command behind the variables it is given; null when one of them is more than a setting. */
function withoutAssignments(words: string): string | null {
  let left = words
  for (let found = assignment.exec(left); found !== null; found = assignment.exec(left)) {
    if (judgeVariable(found[1] ?? '', '').kind !== 'write') return null
    left = left.slice(found[0].length)
  }
  return left
}

function hasInlineFlag(program: string, words: string): boolean {
  return [...inlineFlags].some(([programs, flags]) => programs.test(program) && flags.test(words))
}

async function askShell(command: string, ask: Describers): Promise<Finding> {
  const operations = await ask.describe('shell', { cmd: command })
  const findings = operations.map(({ impact, why }) => ({ ...impact, why: `sets a command: ${why}` }))
  const [first, ...others] = findings
  return first === undefined ? unknown('sets a command that can not be read') : worst(first, others)
}
