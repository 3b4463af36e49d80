import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { CommandFailure, exitCodes } from './failure.ts'
import { isAlive } from './state-directory.ts'

const addressShape = z.object({ socketPath: z.string(), pid: z.int().positive() })
const saidShape = z.discriminatedUnion('state', [
  z.object({ state: z.literal('pulled'), pid: z.int(), leaseMs: z.number(), everywhere: z.boolean().default(true) }),
  z.object({
    state: z.literal('acknowledged'),
    id: z.number().nullable(),
    atMs: z.number(),
    durable: z.boolean(),
    /** Every gate that shares the store has stopped it; a gate alone is everywhere. */
    everywhere: z.boolean().default(true),
    sessions: z.number(),
    haltMs: z.number(),
  }),
  z.object({ state: z.literal('ending'), pid: z.int(), durable: z.boolean(), everywhere: z.boolean().default(true) }),
])
type Said = z.infer<typeof saidShape>

/** Over the lease by what a machine under load takes to end a process. */
const answerTimeoutMs = 20_000
const endPollMs = 20
const answerBytesMax = 64 * 1024

export interface SwitchOrder {
  readonly kind: string
  readonly name: string
  readonly reason: string
  readonly drain: boolean
}

/** `confirmed` by the gate; or its process is gone, for it did not confirm within its lease. */
export type Acknowledged =
  | Extract<Said, { readonly state: 'acknowledged' }>
  | { readonly state: 'process ended'; readonly pid: number; readonly durable: boolean; readonly everywhere: boolean }

/** Where a running gate's own switch listens; null when there is none. */
export function findSwitch(stateDirectory: string): z.infer<typeof addressShape> | null {
  try {
    const address = addressShape.parse(JSON.parse(readFileSync(join(resolve(stateDirectory), 'switch.json'), 'utf8')))
    return isAlive(address.pid) ? address : null
  } catch {
    return null
  }
}

/** Pulls the switch on its own listener. Resolves when nothing more is written upstream, whichever way that came about. */
export async function pullSwitch(stateDirectory: string, order: SwitchOrder): Promise<Acknowledged> {
  const address = findSwitch(stateDirectory)
  if (address === null) throw unreachable('No gate with a kill switch of its own runs here.')
  const said = await converse(address.socketPath, readToken(stateDirectory), order)
  const last = said.at(-1)
  if (last?.state === 'acknowledged') return last
  if (last === undefined) throw unreachable('The kill switch closed the connection without a word.')
  await untilGone(last.pid)
  // Without its last words it is the record's own durability that is not known.
  const durable = last.state === 'ending' && last.durable
  return { state: 'process ended', pid: last.pid, durable, everywhere: last.everywhere }
}

function readToken(stateDirectory: string): string {
  try {
    return readFileSync(join(resolve(stateDirectory), 'switch.token'), 'utf8').trim()
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw unreachable(`The kill switch's token cannot be read (${reason}).`)
  }
}

function unreachable(what: string): CommandFailure {
  return new CommandFailure(
    exitCodes.unreachable,
    'switch_unreachable',
    what,
    'It is not known that anything was stopped.',
    'As the gate’s user: make an empty file `kill` in its state directory, which stops everything, or end its process.',
  )
}

/** What it said, line by line, until the connection closed. */
function converse(socketPath: string, token: string, order: SwitchOrder): Promise<readonly Said[]> {
  const body = JSON.stringify(order)
  return new Promise((resolve, reject) => {
    let text = ''
    const done = (): void => {
      try {
        const lines = text.split('\n').slice(0, -1)
        resolve(lines.map((line) => saidShape.parse(JSON.parse(line))))
      } catch (error) {
        reject(error instanceof Error ? error : new Error('unreadable'))
      }
    }
    const asking = request(
      {
        socketPath,
        path: '/v1/kill',
        method: 'POST',
        signal: AbortSignal.timeout(answerTimeoutMs),
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
      },
      (response) => {
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
          if (text.length > answerBytesMax) asking.destroy()
        })
        response.on('close', () => {
          if (response.statusCode === 200) done()
          else reject(refused(response.statusCode ?? 0))
        })
      },
    )
    asking.on('error', () => {
      if (text === '') reject(unreachable('The kill switch does not answer.'))
      else done()
    })
    asking.end(body)
  })
}

function refused(status: number): CommandFailure {
  return new CommandFailure(
    status === 400 ? exitCodes.usage : exitCodes.refused,
    `http_${status}`,
    `The kill switch answered ${status}.`,
    'Nothing was stopped.',
    'Run this as the user the gate runs as.',
  )
}

async function untilGone(pid: number): Promise<void> {
  for (const deadlineMs = Date.now() + answerTimeoutMs; isAlive(pid); await sleep(endPollMs)) {
    if (Date.now() > deadlineMs) throw unreachable(`The gate's process ${pid} was to end and is still there.`)
  }
}
