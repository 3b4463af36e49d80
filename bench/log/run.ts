import { writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { format } from 'oxfmt'
import { append, type Appended } from './appending.ts'
import { type BareDisk, writeBare } from './bare-disk.ts'
import { proveFromDisk, type Proven } from './large-tree.ts'

/** `npm run bench:log [-- --seconds 3 --rounds 3 --leaves 10000000]`: the log beside the bare disk, interleaved in one run; writes RESULTS.md. */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    leaves: { type: 'string', default: '10000000' },
  },
})
const forMs = Number(values.seconds) * 1000
const writersMany = 512
/** What a group of 512 events comes to, for the disk's own limit. */
const groupBytes = 160 * 1024
const goals = { eventsPerSecond: 50_000, aloneOverBare: 3, proofMs: 1 }

interface Round {
  readonly bare: BareDisk
  readonly bareGroup: BareDisk
  readonly alone: Appended
  readonly many: Appended
}

const rounds: Round[] = []
for (let round = 0; round < Number(values.rounds); round += 1) {
  const bare = writeBare(512, forMs / 2)
  const alone = await append(1, forMs / 2)
  const bareGroup = writeBare(groupBytes, forMs / 2)
  const many = await append(writersMany, forMs)
  rounds.push({ bare, bareGroup, alone, many })
}
const proven = await proveFromDisk(Number(values.leaves))
const { code: text } = await format('RESULTS.md', describe(rounds, proven), { printWidth: 150 })
writeFileSync(new URL('./RESULTS.md', import.meta.url), text)
process.stdout.write(text)

function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function median(of: (round: Round) => number): number {
  return quantile(rounds.map(of), 0.5)
}

function describe(all: readonly Round[], { size, buildSeconds, proofHashes, freshMs, warmMs }: Proven): string {
  const bareMs = median(({ bare }) => quantile(bare.tookMs, 0.5))
  const aloneMs = median(({ alone }) => quantile(alone.tookMs, 0.5))
  const manyPerSecond = median(({ many }) => many.eventsPerSecond)
  const perCpuSecond = median(({ many }) => many.eventsPerCpuSecond)
  const bytesPerEvent = median(({ many }) => many.bytesPerEvent)
  const groupMs = median(({ bareGroup }) => quantile(bareGroup.tookMs, 0.5))
  const diskPerSecond = (1000 / groupMs) * (groupBytes / bytesPerEvent)
  const goal = Math.min(goals.eventsPerSecond, diskPerSecond)
  const met = (is: boolean): string => (is ? 'met' : 'missed')
  const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    '# The log beside the bare disk',
    '',
    `Made by \`npm run bench:log\`: ${all.length} rounds, bare disk and log in turn; medians. An event has ${bytesPerEvent} bytes on disk. Whatever else the`,
    'machine did meanwhile is in the figures; CPU is that of the one process, its threads included.',
    '',
    `- ${cpus().length} processors (${(cpus()[0]?.model ?? 'unknown').trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory, Linux ${release()}; Node ${process.version}`,
    '',
    row('what', 'figure', 'goal', ''),
    row('---', '---:', '---:', '---'),
    row('bare write + fdatasync of 512 bytes, p50', `${bareMs.toFixed(3)} ms`, '', ''),
    row('one event appended and durable, one writer, p50', `${aloneMs.toFixed(3)} ms`, '', ''),
    row(
      '… over the bare disk',
      `${(aloneMs / bareMs).toFixed(2)} ×`,
      `≤ ${goals.aloneOverBare} ×`,
      met(aloneMs / bareMs <= goals.aloneOverBare),
    ),
    row(
      `events a second, ${writersMany} writers, each waits for the disk`,
      manyPerSecond.toFixed(0),
      `≥ ${goal.toFixed(0)}`,
      met(manyPerSecond >= goal),
    ),
    row('… events for each second of processor time', perCpuSecond.toFixed(0), '', ''),
    row('… p99 of one append', `${median(({ many }) => quantile(many.tookMs, 0.99)).toFixed(1)} ms`, '', ''),
    row(`the disk’s own limit: bare writes of ${groupBytes / 1024} KiB, in events a second`, diskPerSecond.toFixed(0), '', ''),
    row(
      `inclusion proof (${proofHashes} hashes) from ${size.toLocaleString('en')} entries on disk, nothing kept, p50`,
      `${quantile(freshMs, 0.5).toFixed(3)} ms`,
      `< ${goals.proofMs} ms`,
      met(quantile(freshMs, 0.5) < goals.proofMs),
    ),
    row('… p99', `${quantile(freshMs, 0.99).toFixed(3)} ms`, '', ''),
    row('… with tiles of earlier proofs kept, p50', `${quantile(warmMs, 0.5).toFixed(3)} ms`, '', ''),
    '',
    `The tree of ${size.toLocaleString('en')} leaves was built in ${buildSeconds.toFixed(0)} s; every proof was verified against its root.`,
    '',
  ].join('\n')
}
