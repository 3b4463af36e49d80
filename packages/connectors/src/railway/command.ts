import type { Describers, Json } from '@sallyport/core'
import { type Finding, unknown, worst, writes } from './finding.ts'
import { isList } from './given-value.ts'

/** UTF-16 units of one command; a longer one is a script. */
const commandLengthMax = 2_000

/** Programs that start or build an application out of what was deployed. */
const starters: ReadonlySet<string> = new Set(
  `node npm npx yarn pnpm bun bunx deno tsx ts-node next nuxt vite serve pm2 nest python python3 pip poetry uv gunicorn uvicorn
  hypercorn daphne flask celery streamlit ruby bundle rails puma rackup sidekiq java mvn gradle ./gradlew php composer caddy nginx go
  cargo dotnet elixir mix make hugo`.split(/\s+/),
)
/** A program or script that was deployed: what it does came with the deployment. */
const ownProgram = /^(?:(?:ba|da|z)?sh )?\.\/[\w./-]+(?: |$)|^(?:ba|da|z)?sh [\w][\w./-]*\.sh(?: |$)/
/** Words, and variables in them: nothing that a shell would do something with. */
const plain = /^[\w@%+=:,./ ${}-]*$/
const substitution = /\$(?!\{?[A-Za-z_]\w*\}?)|[{}](?<!\$\{|\$\{\w+\})/
/** Words that hand a starter code, or a prompt for it. */
const inlineWord =
  /(?:^|[ :])(?:eval|repl|shell|dbshell|dbconsole|console|runner|dlx)(?= |$)|--(?:eval|print|exec|execute|command|call)(?=[ =]|$)/
const inlineFlags: ReadonlyMap<RegExp, RegExp> = new Map([
  [/^(?:node|bun|deno|tsx|ts-node|ruby|elixir|mix|php)$/, / -(?:[a-zA-Z]*[ep]|r|R|B)(?= |$)/],
  [/^(?:python3?|npx|bunx)$/, / -[a-zA-Z]*c/],
])
/** Parts of names of scripts that take away. */
const grave =
  /(?:^|[^a-z])(?:rm|rmdir|drop(?:db)?|resets?|flush(?:all|db)?|delet(?:e|es|ion)|destroy|truncate|wipe|purge|erase|nuke|kill|unlink|uninstall|undo|down|rollback|revert|restore|load|overwrite|force|loss)(?:$|[^a-z])|:clean(?:$|[^a-z])/i

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
  return command.split('&&').every((part) => {
    const words = part.trim().replaceAll(/ +/g, ' ')
    const [program = ''] = words.split(' ')
    if (!plain.test(words) || substitution.test(words) || grave.test(words)) return false
    if (ownProgram.test(words)) return true
    return starters.has(program) && !inlineWord.test(words) && !hasInlineFlag(program, words)
  })
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
