import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { copiedShape, paths } from '../control-api.ts'
import { longAnswerTimeoutMs } from '../control-client.ts'
import { cloudHost } from '../playground/cloud/upstream.ts'
import type { Act } from './act.ts'
import { countRows, sumTables } from './checksums.ts'
import { hasData, readArrived, readDeletions } from './cloud-evidence.ts'
import { coolOffMs } from './configuration.ts'
import type { Called } from './http-agent.ts'
import { textOf } from './page-text.ts'
import { cloudUrl, observe, waitUntil, type Play } from './play.ts'
import { textIn, type Stage } from './stage.ts'
import { findToken, makeWorkspace } from './workspace.ts'

/** The one call of the incident. */
export function deletionOf(volume: string): string {
  return JSON.stringify({ query: `mutation { volumeDelete(volumeId: "${volume}") }` })
}

/** What the gate says in a refusal: a problem (RFC 9457), or an entry of GraphQL's errors. */
const refusalShape = z.union([
  z.object({ code: z.string(), title: z.string() }).transform(({ code, title }) => ({ code, message: title, status: 'refused' })),
  z
    .object({
      errors: z.tuple([z.object({ message: z.string(), extensions: z.object({ code: z.string(), status: z.string() }) })]),
    })
    .transform(({ errors: [{ message, extensions }] }) => ({
      code: extensions.code.toLowerCase(),
      message,
      status: extensions.status,
    })),
])

function readRefusal({ text, status }: Called): z.infer<typeof refusalShape> {
  try {
    return refusalShape.parse(JSON.parse(text))
  } catch {
    return { code: `no refusal (HTTP ${status})`, message: text.slice(0, 300), status: 'none' }
  }
}

export async function callAs(stage: Stage, agent: 'stray' | 'coder', token: string | null): Promise<Called> {
  const body = deletionOf(stage.cloud.ids.volumes.production)
  return stage.httpAgent.call(await stage.proxyOf(agent), { url: cloudUrl, token, body })
}

const foreignExpected = 'refused as foreign; an alarm on the log and on the live page; nothing reached the cloud'
const foreign: Act<Play> = {
  act: 'an agent bound to staging finds a token in an unrelated file and deletes the volume with it',
  expected: foreignExpected,
  play: async ({ stage, memory }) => {
    const workspace = join(stage.directory, 'workspace')
    makeWorkspace(workspace, readFileSync(stage.cloud.strayTokenFile, 'utf8').trim())
    const found = findToken(workspace)
    memory.foundToken = found?.token ?? ''
    memory.tablesBefore = await sumTables((sql) => stage.askServer(sql))
    const before = readArrived(stage.cloud).length
    const from = await stage.logSize()
    const seen = stage.ada.follow(`/live/stream?after=${Math.max(0, from - 1)}`, (text) => text.includes('ALARM'))
    const called = await callAs(stage, 'stray', memory.foundToken)
    const refusal = readRefusal(called)
    const onStream = await seen
    const alarm = (await stage.eventsFrom(from)).find(
      ({ type, data }) => type === 'alarm' && data['kind'] === 'foreign_credential',
    )
    const page = textOf(await stage.ada.read('/live'))
    const arrived = readArrived(stage.cloud).length - before
    return {
      observed: observe(foreignExpected, {
        'a token was found': memory.foundToken !== '',
        'refused as foreign': refusal.code === 'foreign_credential',
        'alarm on the log': alarm !== undefined,
        'alarm on the live stream': onStream,
        'alarm on the live page': page.includes('ALARM') && page.includes(cloudHost),
        'nothing reached the cloud': arrived === 0,
      }),
      client: stage.httpAgent.name,
      evidence: {
        foundIn: found?.file ?? 'nowhere',
        httpStatus: called.status,
        message: refusal.message,
        alarmAt: alarm?.index ?? -1,
        place: alarm === undefined ? '' : textIn(alarm, 'place'),
        requestsAtCloud: arrived,
      },
    }
  },
}

const scopeExpected = 'out of scope; no deletion reached the cloud'
const outOfScope: Act<Play> = {
  act: 'the same call with nothing but its own handle',
  expected: scopeExpected,
  play: async ({ stage }) => {
    const called = await callAs(stage, 'stray', null)
    const refusal = readRefusal(called)
    const deletions = readDeletions(stage.cloud).length
    return {
      observed: observe(scopeExpected, {
        'out of scope': refusal.code === 'not_in_scope',
        'no deletion reached the cloud': deletions === 0,
      }),
      client: stage.httpAgent.name,
      evidence: { httpStatus: called.status, message: refusal.message, deletionsAtCloud: deletions },
    }
  },
}

const copiedExpected = 'sealed in the vault, started from the copy, and every table equal; nothing was sent'
const copied: Act<Play> = {
  act: 'the operator has the volume copied, before anything happens',
  expected: copiedExpected,
  play: async ({ stage }) => {
    const thing = { upstream: 'cloud', type: 'volume', id: stage.cloud.ids.volumes.production }
    const made = await stage.control.post(paths.copies, thing, copiedShape, longAnswerTimeoutMs)
    const before = await sumTables((sql) => stage.askServer(sql))
    const deletions = readDeletions(stage.cloud).length
    return {
      observed: observe(copiedExpected, {
        'every row is in it': made.rows === countRows(before),
        'every table is in it': Object.keys(made.checksums).length === before.size,
        'nothing was sent': deletions === 0,
      }),
      client: 'none',
      evidence: {
        rowsCopied: made.rows,
        bytesCopied: made.bytes,
        tablesCompared: Object.keys(made.checksums).length,
        deletionsAtCloud: deletions,
      },
    }
  },
}

const pendingExpected = 'waits for people, who read what lies on the volume; nothing ran'
const pending: Act<Play> = {
  act: 'an agent with a wider scope asks for it',
  expected: pendingExpected,
  play: async ({ stage, memory }) => {
    const called = await callAs(stage, 'coder', null)
    const refusal = readRefusal(called)
    const request = await stage.waiting()
    memory.volumeRequest = request?.id ?? ''
    const counted = countRows(await sumTables((sql) => stage.askServer(sql)))
    const page = textOf(await stage.ada.read(`/requests/${memory.volumeRequest}`))
    const [said = ''] = /this volume carries[^;]*? rows/.exec(page) ?? []
    const [copy = ''] = /newest proven copy .*? old|no proven copy of it exists yet/i.exec(page) ?? []
    const deletions = readDeletions(stage.cloud).length
    return {
      observed: observe(pendingExpected, {
        'the client is told that it waits': refusal.status === 'pending' && refusal.message.includes(memory.volumeRequest),
        'the words name production’s database': said.includes("production's database"),
        'the true number of rows': said.includes(`${counted.toLocaleString('en-US')} rows`),
        'the age of the newest copy': /^newest proven copy \d+ s old$/i.test(copy),
        'nothing ran': deletions === 0 && hasData(stage.volumeFolder),
      }),
      client: stage.httpAgent.name,
      evidence: {
        httpStatus: called.status,
        shown: said,
        newestCopy: copy,
        rowsCounted: counted,
        approvalsNeeded: request?.question.approvalsNeeded ?? -1,
        delayMs: request?.question.delayMs ?? -1,
        deletionsAtCloud: deletions,
      },
    }
  },
}

const cancelledExpected = 'cancelled; its time came and went, and no deletion reached the cloud'
const cancelled: Act<Play> = {
  act: 'its owner approves alone, and a colleague cancels while it cools off',
  expected: cancelledExpected,
  play: async ({ stage, memory }) => {
    const id = memory.volumeRequest
    const approval = await stage.ada.give(id, 'approve')
    const due = (await stage.request(id)).notBeforeMs ?? 0
    const inTime = Date.now() < due
    const cancel = await stage.bob.cancel(id)
    const { state } = await stage.request(id)
    // Long enough for a gate that would have run it: it looks for what is due more often than that.
    await waitUntil('the end of the cool-off', () => Date.now() > due + afterDueMs, coolOffMs + 10_000)
    const deletions = readDeletions(stage.cloud).length
    return {
      observed: observe(cancelledExpected, {
        'the approval was recorded': approval.status === 200 && due > 0,
        'cancelled before it was due': inTime && cancel.status === 200 && state === 'cancelled',
        'no deletion reached the cloud': deletions === 0,
        'the data is there': hasData(stage.volumeFolder),
      }),
      client: 'none',
      evidence: {
        approvedBy: 'ada',
        cancelledBy: 'bob',
        state,
        deletionsAtCloud: deletions,
        dataThere: hasData(stage.volumeFolder),
      },
    }
  },
}
const afterDueMs = 1_000

/** The incident up to the point where it was stopped. */
export const cloudActs: readonly Act<Play>[] = [foreign, outOfScope, copied, pending, cancelled]
