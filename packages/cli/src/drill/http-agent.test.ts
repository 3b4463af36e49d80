import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { governedHost, otherHost, realSecret, startHttpGate, type HttpGate } from '../../../../tests/fakes/http-gate.ts'
import { findHttpAgent, type ProxyAddress } from './http-agent.ts'
import { findToken, makeWorkspace } from './workspace.ts'

let gate: HttpGate
let proxy: ProxyAddress
const folder = mkdtempSync(join(tmpdir(), 'sallyport-agent-test-'))
beforeAll(async () => {
  gate = await startHttpGate()
  proxy = { host: '127.0.0.1', port: gate.port, agent: 'robot', handle: gate.handle, authorityFile: gate.authorityFile }
})
afterAll(async () => {
  await gate.stop()
  rmSync(folder, { recursive: true, force: true })
})

const url = `https://${governedHost}/v1/things`
const token = '0b0a9f8e-7d6c-4b5a-8493-021345678abc'

describe.each([
  ['curl', process.env['PATH'] ?? ''],
  ['node:https', folder],
])('%s plays the agent', (name, path) => {
  const agent = findHttpAgent(path)

  test('it is the one that is there', () => expect(agent.name).toBe(name))

  test('goes through the proxy with its handle; quotes, backslashes and line ends arrive as they were', async () => {
    const body = JSON.stringify({ query: 'mutation { a(b: "c\\\\d\n") }', more: "$HOME `x` 'y' @file" })
    const called = await agent.call(proxy, { url, token: null, body })
    expect(called).toMatchObject({ status: 200 })
    const sent = gate.standIn.received.at(-1)
    expect(sent?.body.toString()).toBe(body)
    expect(sent?.bytes.toString()).toContain(realSecret)
    expect(called.text).not.toContain(realSecret)
  })

  test('a token of its own is sent as one, and its refusal is an answer', async () => {
    const before = gate.standIn.received.length
    const called = await agent.call(proxy, { url, token, body: '{}' })
    expect(called).toMatchObject({ status: 403 })
    expect(called.headers.get('content-type')).toBe('application/problem+json')
    expect(called.text).toContain('foreign_credential')
    expect(called.text).not.toContain(token)
    expect(gate.standIn.received).toHaveLength(before)
  })

  test('no answer is status 0, and says why', async () => {
    const ungoverned = await agent.call(proxy, { url: `https://${otherHost}/`, token: null, body: '{}' })
    expect(ungoverned.status).toBe(0)
    expect(ungoverned.text).toMatch(/403/)
    const stranger = await agent.call({ ...proxy, handle: 'sp_none' }, { url, token: null, body: '{}' })
    expect(stranger.status).toBe(0)
    expect(stranger.text).toMatch(/407/)
  })
})

test('an agent that looks around finds what somebody left in a file about something else', () => {
  const workspace = join(folder, 'workspace')
  makeWorkspace(workspace, token)
  expect(findToken(workspace)).toEqual({ file: join('scripts', 'attach-domain.sh'), token })
  expect(findToken(join(workspace, 'notes'))).toBeNull()
})
