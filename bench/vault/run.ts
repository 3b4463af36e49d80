import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { format } from 'oxfmt'
import { findPostgresBinaries } from '../../tests/servers/postgres.ts'
import { findRestic } from './measure.ts'
import { benchRestorePoints } from './restore-point.ts'
import { benchSurgicalCopies } from './surgical-copy.ts'
import { benchWholeCopies } from './whole-copy.ts'

/**
 * `npm run bench:vault [-- --scale 5 --points 200 --rounds 9]`: the vault's figures of DESIGN §11 and issue 5 in one run, each beside what it is to
 * be compared with, on a machine that should have nothing else to do for three minutes. Needs Debian's restic. Writes RESULTS.md beside this file;
 * with `--only points|copies|whole` it measures that part and writes nothing.
 */
const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '5' },
    points: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
  },
})

function whole(name: 'scale' | 'points' | 'rounds'): number {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < 1 || number > 1000)
    throw new RangeError(`--${name} takes a whole number from 1 to 1000`)
  return number
}

const parts = {
  points: { title: 'Restore points', measure: () => benchRestorePoints(whole('points')) },
  copies: { title: 'Copies of what a statement would lose', measure: () => benchSurgicalCopies(whole('rounds')) },
  whole: { title: 'Whole copies', measure: () => benchWholeCopies(whole('scale')) },
} as const

function describeMachine(): string {
  const first = (program: string, word: string): string => execFileSync(program, [word]).toString().split('\n')[0]?.trim() ?? ''
  const [cpu] = cpus()
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory`
  const programs = [first(join(findPostgresBinaries(), 'postgres'), '--version'), first(findRestic(), 'version')]
  return [
    `${cpus().length} processors (${(cpu?.model ?? 'unknown').trim()})`,
    memory,
    `Linux ${release()}`,
    `Node ${process.version}`,
    ...programs,
  ].join('; ')
}

const names = Object.keys(parts)
if (values.only !== undefined && !names.includes(values.only)) throw new RangeError(`--only takes one of ${names.join(', ')}`)
const beganMs = performance.now()
const [loadBefore = 0] = loadavg()
const sections: string[] = []
for (const [name, { title, measure }] of Object.entries(parts)) {
  if (values.only !== undefined && values.only !== name) continue
  sections.push(`## ${title}`, '', ...(await measure()), '')
}
const minutes = ((performance.now() - beganMs) / 60_000).toFixed(1)
const { code: text } = await format(
  'RESULTS.md',
  [
    '# The vault, measured',
    '',
    `Command: \`npm run bench:vault -- --scale ${values.scale} --points ${values.points} --rounds ${values.rounds}\`, in ${minutes} minutes; load average ${loadBefore.toFixed(1)} before it.`,
    `Machine: ${describeMachine()}. Database server, vault, programs and load share its processors, and all of their data its disk.`,
    '',
    ...sections,
  ].join('\n'),
  { printWidth: 150 },
)
if (values.only === undefined) writeFileSync(new URL('RESULTS.md', import.meta.url), text)
process.stdout.write(text)
