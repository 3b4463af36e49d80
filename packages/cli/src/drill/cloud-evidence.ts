import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { PlaygroundCloud } from '../playground/cloud/cloud.ts'

/** One request as it arrived at the stand-in, byte for byte, by its own record. */
export interface Arrived {
  readonly atMs: number
  readonly bytes: string
}

const lineShape = z.object({ atMs: z.number(), base64: z.string().nullable() })

/** Everything that reached the stand-in so far: evidence from outside the gate. */
export function readArrived({ evidenceFile }: PlaygroundCloud): readonly Arrived[] {
  if (!existsSync(evidenceFile)) return []
  return readFileSync(evidenceFile, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { atMs, base64 } = lineShape.parse(JSON.parse(line))
      return { atMs, bytes: Buffer.from(base64 ?? '', 'base64').toString('utf8') }
    })
}

/** Those that would delete a volume. What the gate asks by itself, to say what a volume is, has no such word in it. */
export function readDeletions(cloud: PlaygroundCloud): readonly Arrived[] {
  return readArrived(cloud).filter(({ bytes }) => bytes.includes('volumeDelete'))
}

export function bodyOf({ bytes }: Arrived): string {
  return bytes.slice(bytes.indexOf('\r\n\r\n') + 4)
}

/** The token that a request came with; empty when it had none. */
export function tokenOf({ bytes }: Arrived): string {
  return /^authorization: bearer (\S+)$/im.exec(bytes.slice(0, bytes.indexOf('\r\n\r\n')))?.[1] ?? ''
}

/** Whether a data directory lies on this volume. */
export function hasData(folder: string): boolean {
  return existsSync(join(folder, 'data', 'PG_VERSION'))
}
