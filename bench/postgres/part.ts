import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { modeNames, scriptNames } from './load.ts'

/** The whole table in pieces, each of them under three minutes: for a machine that is not ours for longer. */
export const partNames = [
  'select-simple',
  'select-extended',
  'select-prepared',
  'tpcb-simple',
  'tpcb-extended',
  'tpcb-prepared',
  'connect',
  'copy',
  'idle',
] as const
export type PartName = (typeof partNames)[number]

/** As on the command line. */
export interface PartFlags {
  readonly scripts: string
  readonly modes: string
  readonly clients: string
  readonly singles: string
  readonly paths?: string
}

const table = { clients: '8,32', singles: 'none' }
const reads = { clients: '1,8,32', singles: 'none', scripts: 'select' }
/** Of writes also what it costs to have them on disk first. */
const written = { ...table, paths: 'direct,pipe,pipe-durable,pgbouncer,gate' }
const only = { scripts: '', modes: '', clients: '' }
export const flagsOf: Readonly<Record<PartName, PartFlags>> = {
  'select-simple': { ...reads, modes: 'simple' },
  'select-extended': { ...reads, modes: 'extended' },
  'select-prepared': { ...reads, modes: 'prepared' },
  'tpcb-simple': { ...written, scripts: 'tpcb', modes: 'simple' },
  'tpcb-extended': { ...written, scripts: 'tpcb', modes: 'extended' },
  'tpcb-prepared': { ...written, scripts: 'tpcb', modes: 'prepared' },
  connect: { scripts: 'connect', modes: 'simple', clients: '1,8', singles: 'first' },
  copy: { ...only, singles: 'copy' },
  idle: { ...only, singles: 'idle' },
}

const loadAverage = z.array(z.number()).length(3)
const runShape = z.object({
  about: z.string(),
  minutes: z.number(),
  rounds: z.number(),
  seconds: z.number(),
  /** Of the machine over the last minute, as the system tells it, when it began; the bench's own work is in it at the end. */
  load: z.object({ before: loadAverage, after: loadAverage }),
  paths: z.array(z.string()),
  cells: z.array(
    z.object({
      round: z.number(),
      path: z.string(),
      script: z.enum(scriptNames),
      mode: z.enum(modeNames),
      clients: z.number(),
      tps: z.number(),
      latencyMs: z.number(),
      cpuMicroseconds: z.number().nullable(),
    }),
  ),
  firstAnswersMs: z.array(z.tuple([z.string(), z.array(z.number())])),
  copies: z.array(
    z.tuple([z.string(), z.array(z.object({ seconds: z.number(), bytes: z.number(), grownMib: z.number().nullable() }))]),
  ),
  idle: z.array(z.object({ readyMs: z.number(), residentMib: z.number() })),
})
/** What one start of the bench measured, as `--json` writes it and `--collect` reads it. */
export type Run = z.infer<typeof runShape>

export function readRuns(files: readonly string[]): readonly Run[] {
  return files.map((file) => runShape.parse(JSON.parse(readFileSync(file, 'utf8'))))
}
