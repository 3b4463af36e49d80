import { parseArgs } from 'node:util'
import type { CDPSession } from 'playwright-core'
import { countedKinds } from '@sallyport/console'
import { wallClock as clock } from '../../packages/gateway/src/access/clock.ts'
import { countEvent } from '../../packages/gateway/src/control/tally.ts'
import { type BrowserPerson, startBrowser } from '../fakes/browser.ts'
import { type AgentConnection, arrange, startGate, type TestGate } from '../servers/gate.ts'
import { startPostgres } from '../servers/postgres.ts'

/**
 * `npm run prove:live [-- --minutes 10]`: a real gate under 500 operations a second, and the console's first page open on it in a real browser.
 * Holds when the page's main thread is busy less than half of the time, its memory does not grow, and what it counted is what the log has.
 */
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, rate: { type: 'string', default: '500' } },
})
const durationMs = Number(values.minutes) * 60_000
const perSecond = Number(values.rate)
const connections = 10
const tickMs = 50
/** Before memory is first measured: code is compiled and lists are filled by then. */
const warmUpMs = Math.min(20_000, durationMs / 4)
const busyMax = 0.5
const growthBytesMax = 5 * 1024 * 1024

interface Load {
  readonly sent: () => number
  readonly slowest: () => number
  end(): Promise<void>
}

/** So many a second, one in five a write, over a few connections; what is late is sent as soon as there is room. */
function startLoad(agents: readonly AgentConnection[]): Load {
  const startedMs = performance.now()
  let sent = 0
  let slowestMs = 0
  const end = new AbortController()
  const work = async (agent: AgentConnection): Promise<void> => {
    while (!end.signal.aborted) {
      const due = ((performance.now() - startedMs) / 1000) * perSecond
      if (sent >= due) {
        await clock.sleep(tickMs)
        continue
      }
      sent += 1
      const beganMs = performance.now()
      const id = 1 + (sent % 1000)
      const ran = await agent.run(
        sent % 5 === 0 ? `UPDATE orders SET total = ${sent} WHERE id = ${id}` : `SELECT total FROM orders WHERE id = ${id}`,
      )
      if (ran.sqlState !== '00000') throw new Error(`an operation was refused: ${ran.message}`)
      slowestMs = Math.max(slowestMs, performance.now() - beganMs)
    }
  }
  const running = Promise.all(agents.map(work))
  return {
    sent: () => sent,
    slowest: () => slowestMs,
    end: async () => {
      end.abort()
      await running
    },
  }
}

async function readMetric(devtools: CDPSession, name: string): Promise<number> {
  const { metrics } = await devtools.send('Performance.getMetrics')
  return metrics.find((metric) => metric.name === name)?.value ?? Number.NaN
}

async function heapBytes(devtools: CDPSession): Promise<number> {
  await devtools.send('HeapProfiler.collectGarbage')
  return readMetric(devtools, 'JSHeapUsedSize')
}

/** What the page says, in the order of `countedKinds`. */
async function readCounts({ page }: BrowserPerson): Promise<string> {
  const texts = await Promise.all(countedKinds.map((kind) => page.textContent(`[data-count=${kind}]`)))
  return texts.map((text) => text?.replaceAll(',', '')).join(' ')
}

function countLog(gate: TestGate): string {
  const counts = new Map(countedKinds.map((kind) => [kind, 0]))
  for (const event of gate.events()) {
    const counted = countEvent(event)
    if (counted !== null) counts.set(counted.as, (counts.get(counted.as) ?? 0) + counted.count)
  }
  return countedKinds.map((kind) => counts.get(kind)).join(' ')
}

async function openConsole(gate: TestGate, ada: BrowserPerson): Promise<void> {
  await ada.page.goto(gate.enrolmentUrl ?? '')
  await ada.page.fill('#name', 'ada')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/requests')
  await ada.page.goto(`${gate.controlUrl}/console/now`)
  await ada.page.locator('[data-stream=live]').first().waitFor()
}

/** How long the last events may be on their way; what is not there by then is lost. */
const settleMs = 60_000

/** Waits until the page has counted everything that was sent: it learns of an operation from the log alone, so the log has it too by then. */
async function waitForAll(
  gate: TestGate,
  ada: BrowserPerson,
  sent: number,
): Promise<{ readonly page: string; readonly log: string }> {
  await ada.page.evaluate(`new Promise((resolve) => {
    const sum = () => [...document.querySelectorAll('[data-count]')].reduce((all, { textContent }) => all + Number(textContent.replaceAll(',', '')), 0)
    const observer = new MutationObserver(() => look())
    const end = () => (observer.disconnect(), resolve())
    const look = () => (sum() >= ${sent} ? end() : undefined)
    observer.observe(document.body, { subtree: true, childList: true, characterData: true })
    setTimeout(end, ${settleMs})
    look()
  })`)
  return { page: await readCounts(ada), log: countLog(gate) }
}

async function measure(gate: TestGate, ada: BrowserPerson): Promise<boolean> {
  const devtools = await ada.context.newCDPSession(ada.page)
  await devtools.send('Performance.enable')
  await openConsole(gate, ada)
  const agents = await Promise.all(Array.from({ length: connections }, () => gate.connect('coder')))
  const load = startLoad(agents)
  await clock.sleep(warmUpMs)
  const [heapBefore, busyBefore, sentBefore] = [
    await heapBytes(devtools),
    await readMetric(devtools, 'TaskDuration'),
    load.sent(),
  ]
  const beganMs = performance.now()
  await clock.sleep(durationMs - warmUpMs)
  const seconds = (performance.now() - beganMs) / 1000
  const busy = ((await readMetric(devtools, 'TaskDuration')) - busyBefore) / seconds
  const rate = (load.sent() - sentBefore) / seconds
  await load.end()
  await Promise.all(agents.map((agent) => agent.close()))
  const grown = (await heapBytes(devtools)) - heapBefore
  const counts = await waitForAll(gate, ada, load.sent())
  const held = busy < busyMax && grown < growthBytesMax && counts.page === counts.log && ada.complaints.length === 0
  console.log(`counts by ${countedKinds.join(' ')}: page ${counts.page}, log ${counts.log}`)
  for (const complaint of ada.complaints) console.log(`the page complained: ${complaint}`)
  console.log(
    `figure: console at ${rate.toFixed(0)} operations a second for ${(seconds / 60).toFixed(1)} min: main thread ${(busy * 100).toFixed(1)} % busy, memory ${(grown / 1024 / 1024).toFixed(2)} MB more, counts ${counts.page === counts.log ? 'equal to' : 'NOT those of'} the log`,
  )
  return held
}

const postgres = await startPostgres()
const browser = await startBrowser()
const gate = await startGate({ postgres, mode: 'solo', agents: { coder: { owner: 'ada', may: ['any orders-db'] } } })
try {
  await arrange(
    postgres,
    'CREATE TABLE orders (id int PRIMARY KEY, total int); INSERT INTO orders SELECT n, n FROM generate_series(1, 1000) n',
  )
  const held = await measure(gate, await browser.open())
  process.exitCode = held ? 0 : 1
} finally {
  await gate.stop()
  await browser.stop()
  await postgres.stop()
}
