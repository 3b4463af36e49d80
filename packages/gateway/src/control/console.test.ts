import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BrowserPerson, startBrowser, type TestBrowser } from '../../../../tests/fakes/browser.ts'
import { makePeopleBench, operatorTokenSha256, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { type ControlListener, startControl } from './index.ts'

let browser: TestBrowser
let bench: PeopleBench
let listener: ControlListener
let ada: BrowserPerson

beforeAll(async () => {
  bench = makePeopleBench()
  listener = await startControl(bench.ports, { port: 0, operatorTokenSha256 })
  browser = await startBrowser()
  ada = await browser.open()
  const link = await listener.firstEnrolmentLink()
  await ada.page.goto(link?.url ?? '')
  await ada.page.fill('#name', 'ada')
  await ada.page.click('button[type=submit]')
  await ada.page.waitForURL('**/requests')
})

afterAll(async () => {
  await browser?.stop()
  await listener?.close()
})

test('Now', async () => {
  bench.sessions.push({
    id: 's1',
    subject: { agent: 'coder', owner: 'ada' },
    handleId: 'h',
    protocol: 'postgres',
    upstream: 'orders-db',
    openedAtMs: bench.clock.nowMs() - 90000,
    peer: '127.0.0.1',
  })
  await bench.ask()
  for (let n = 0; n < 30; n += 1)
    await bench.log.append({
      type: 'intent',
      atMs: bench.clock.nowMs() - n * 60000,
      agent: 'coder',
      session: 's1',
      data: {
        operations: [{ kind: n % 7 ? 'write' : 'destroy', action: 'postgres.update', resources: [] }],
        text: 'UPDATE x',
        rowsMax: null,
        approvers: [],
      },
    })
  await ada.page.goto(`${listener.url}/console/now`)
  await expect.poll(() => ada.page.textContent('h1')).toBe('Now')
  await expect.poll(() => ada.page.getAttribute('[data-stream]', 'data-stream')).toBe('live')
  await bench.log.append({ type: 'reads', atMs: bench.clock.nowMs(), data: { reads: [{ count: 7 }] } })
  await expect.poll(() => ada.page.textContent('[data-count=read]')).toBe('7')
  await ada.page.screenshot({ path: '/tmp/now.png', fullPage: true })
  await ada.page.click('text=Stop everything')
  await ada.page.waitForSelector('[role=alertdialog]')
  await ada.page.screenshot({ path: '/tmp/now-kill.png' })
  await ada.page.click('text=Stop now')
  await expect.poll(() => ada.page.textContent('[aria-label=Stopped]')).toContain('Everything is stopped')
  await ada.page.setViewportSize({ width: 390, height: 844 })
  await ada.page.emulateMedia({ colorScheme: 'dark' })
  await ada.page.screenshot({ path: '/tmp/now-phone.png', fullPage: true })
  await ada.page.click('text=Release with passkey')
  await expect.poll(() => ada.page.locator('[aria-label=Stopped]').count()).toBe(0)
  expect(ada.complaints).toEqual([])
})
