import { readFileSync } from 'node:fs'
import { longAnswerTimeoutMs } from '../control-client.ts'
import { paths, snapshotsShape, undoneShape } from '../control-api.ts'
import type { Act } from './act.ts'
import { callAs, deletionOf } from './cloud-acts.ts'
import { bodyOf, hasData, readDeletions, tokenOf } from './cloud-evidence.ts'
import { coolOffMs } from './configuration.ts'
import { countRows, sumTables } from './checksums.ts'
import { observe, waitUntil, type Play } from './play.ts'
import { textIn } from './stage.ts'

/** A base backup, its trial start and the comparison, on a busy machine. */
const runTimeoutMs = 60_000

const deletedExpected = 'when due: copied, the copy started and compared; then deleted for real'
const deleted: Act<Play> = {
  act: 'asked again and approved, and nobody cancels',
  expected: deletedExpected,
  play: async ({ stage, memory }) => {
    const { cloud } = stage
    const from = await stage.logSize()
    await callAs(stage, 'coder', null)
    const id = (await stage.waiting())?.id ?? ''
    await stage.ada.approve(id)
    const due = (await stage.request(id)).notBeforeMs ?? 0
    await waitUntil('the deletion', () => !hasData(stage.volumeFolder), coolOffMs + runTimeoutMs)
    const outcome = async (): Promise<string> => {
      const event = (await stage.eventsFrom(from)).find(({ type }) => type === 'outcome')
      return event === undefined ? '' : textIn(event, 'result')
    }
    await waitUntil('the outcome on the log', async () => (await outcome()) !== '')
    const { snapshots } = await stage.control.get(paths.snapshots, snapshotsShape)
    // Not the one that the operator had made: a copy older than the lock would lose what was written since.
    const copy = snapshots.find(({ upstream, madeAtMs }) => upstream === 'cloud' && madeAtMs >= due)
    memory.volumeCopy = copy?.id ?? ''
    const deletions = readDeletions(cloud)
    const [arrived] = deletions
    const serverAnswers = await stage.askServer('SELECT 1').then(
      () => true,
      () => false,
    )
    // What it would have been told, had it waited: the same call again gets the answer to the one that ran.
    const answer = await callAs(stage, 'coder', null)
    const after = readDeletions(cloud).length
    const result = await outcome()
    return {
      observed: observe(deletedExpected, {
        'not before it was due': arrived !== undefined && arrived.atMs >= due,
        'copied first': copy !== undefined && arrived !== undefined && copy.madeAtMs <= arrived.atMs,
        'every row was copied': copy?.rows === countRows(memory.tablesBefore),
        'exactly one deletion arrived': deletions.length === 1 && after === 1,
        'the bytes are those that were decided':
          arrived !== undefined && bodyOf(arrived) === deletionOf(cloud.ids.volumes.production),
        'with the gate’s own token': arrived !== undefined && tokenOf(arrived) === readFileSync(cloud.tokenFile, 'utf8').trim(),
        'the data is gone, and the server with it': !hasData(stage.volumeFolder) && !serverAnswers,
        'the outcome is on the log': result === 'succeeded',
        'the agent gets the answer': answer.text.includes('"volumeDelete":true'),
      }),
      client: stage.httpAgent.name,
      evidence: {
        rowsCopied: copy?.rows ?? -1,
        bytesCopied: copy?.bytes ?? -1,
        tablesCompared: Object.keys(copy?.checksums ?? {}).length,
        msAfterDue: arrived === undefined ? -1 : arrived.atMs - due,
        deletionsAtCloud: deletions.length,
        dataThere: hasData(stage.volumeFolder),
        serverAnswers,
        outcomeOnLog: result,
        answerForAgent: answer.text.slice(0, 100),
      },
    }
  },
}

const restoredExpected = 'a real server runs on it, and every table is as it was'
const restored: Act<Play> = {
  act: 'the volume is brought back from the vault',
  expected: restoredExpected,
  play: async ({ stage, memory }) => {
    const undone = await stage.control.post(paths.undo, { snapshotId: memory.volumeCopy }, undoneShape, longAnswerTimeoutMs)
    const data = /lies in (\S+):/.exec(undone.note)?.[1] ?? ''
    await stage.putBackProduction(data)
    const now = await sumTables((sql) => stage.askServer(sql))
    const tables = [...memory.tablesBefore].map(([table, sum]): [string, string] => [
      table,
      now.get(table) === sum ? `${sum}, before and after` : `${sum} before, ${now.get(table) ?? 'gone'} after`,
    ])
    const isEqual =
      now.size === memory.tablesBefore.size && [...now].every(([table, sum]) => memory.tablesBefore.get(table) === sum)
    return {
      observed: observe(restoredExpected, {
        'undo verified it': undone.verified,
        'every table is equal': isEqual && now.size > 0,
      }),
      client: 'none',
      evidence: { rows: countRows(now), ...Object.fromEntries(tables), note: undone.note },
    }
  },
}

/** What had to be possible after it: deleted by people's will, and brought back. */
export const recoveryActs: readonly Act<Play>[] = [deleted, restored]
