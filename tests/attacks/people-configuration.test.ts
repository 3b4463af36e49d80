import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConfig } from '../../packages/gateway/src/config.ts'
import {
  acceptedOf,
  admitConfiguration,
  findWidenings,
  hashDecisive,
  type Accepted,
} from '../../packages/gateway/src/widening.ts'
import { gatewayMain, startGate, type TestGate } from '../servers/gate.ts'
import { challengeIn } from '../../packages/cli/src/drill/person.ts'
import type { HttpAnswer, HttpPerson } from '../fakes/http-person.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { inDepth } from '../breadth.ts'

const base = {
  version: 1,
  mode: 'team',
  coolOff: '15m',
  retention: '7d',
  expiry: '1h',
  limits: { rowsWithoutPrompt: 100 },
  accept_risk: new Array<string>(),
  guards: '',
  listen: { postgres: '127.0.0.1:6432' },
  upstreams: { 'orders-db': { protocol: 'postgres', environment: 'production', use: 'file:use', protect: 'file:protect' } },
  agents: { coder: { owner: 'ada', may: ['read orders-db', 'write orders-db'], handles: { ttl: '8h' } } },
}

function accepted(changes: object = {}): Accepted {
  const read = parseConfig(JSON.stringify({ ...base, ...changes }), '/etc/sallyport.yaml')
  if (!read.ok) throw new Error(JSON.stringify(read.mistakes))
  return acceptedOf(read.config)
}

const orders = base.upstreams['orders-db']
const { coder } = base.agents

describe('what goes beyond the configuration that ran last', () => {
  test.each([
    ['solo instead of team', { mode: 'solo' }, /solo/],
    ['a shorter cool-off', { coolOff: '0s' }, /coolOff/],
    ['more rows without a prompt', { limits: { rowsWithoutPrompt: 101 } }, /rowsWithoutPrompt/],
    ['a shorter retention', { retention: '1d' }, /retention/],
    ['questions that stay open', { expiry: '30d' }, /expiry/],
    ['other guards', { guards: '// nothing' }, /guards/],
    ['an accepted risk', { accept_risk: ['level-0'] }, /accept_risk/],
    ['another listener', { listen: { postgres: '127.0.0.2:6432' } }, /127\.0\.0\.2/],
    ['another upstream', { upstreams: { ...base.upstreams, other: orders } }, /other was added/],
    ['production called staging', { upstreams: { 'orders-db': { ...orders, environment: 'staging' } } }, /staging/],
    ['a credential by command', { upstreams: { 'orders-db': { ...orders, use: 'exec:id' } } }, /elsewhere/],
    ['a role of an agent’s own', { upstreams: { 'orders-db': { ...orders, as: { coder: 'file:own' } } } }, /other credentials/],
    ['another agent', { agents: { ...base.agents, other: coder } }, /other was added/],
    ['an agent called as an object’s own', { agents: { ...base.agents, constructor: coder } }, /constructor was added/],
    ['another owner', { agents: { coder: { ...coder, owner: 'eve' } } }, /owner/],
    ['longer handles', { agents: { coder: { ...coder, handles: { ttl: '9h' } } } }, /longer/],
    ['more scope', { agents: { coder: { ...coder, may: [...coder.may, 'any orders-db'] } } }, /may do more/],
  ])('%s', (_what, changes, line) => {
    const after = accepted(changes)
    expect(findWidenings(accepted(), after)).toEqual([expect.stringMatching(line)])
    expect(() => admitConfiguration(JSON.stringify(accepted()), after, false)).toThrow(
      expect.objectContaining({ code: 'refused_by_guard', message: expect.stringMatching(line) }),
    )
    expect(admitConfiguration(JSON.stringify(accepted()), after, true)).toHaveLength(1)
    // And whatever people approved before it is void.
    expect(hashDecisive('p', after)).not.toBe(hashDecisive('p', accepted()))
  })

  const keeps = (keep: object) => ({ upstreams: { 'orders-db': { ...orders, keep } } })
  test.each([
    ['a folder to read', {}, { keep: { keys: { folder: '/home/gate/.ssh' } } }, 'keep: keys is copied: folder /home/gate/.ssh'],
    [
      'a question where there was none',
      keeps({ drill: 'every 7d' }),
      keeps({ drill: 'every 7d', checks: [{ ask: 'SELECT 1', is: 1 }] }),
      'ask other questions',
    ],
    [
      'a question with a new thing',
      {},
      keeps({ drill: 'every 7d', checks: [{ ask: 'SELECT 1', is: 1 }] }),
      'ask other questions',
    ],
    ['copies less often', keeps({ copy: 'every 1d' }), keeps({ copy: 'every 2d' }), 'copied less often'],
    ['no demand', keeps({ demand: '7d' }), keeps({}), 'an older drill'],
  ])('%s, of what is kept', (_what, from, to, line) => {
    expect(findWidenings(accepted(from), accepted(to))).toEqual([expect.stringContaining(line)])
  })

  test.each([
    ['nothing', {}],
    ['team instead of solo would be', { coolOff: '1h' }],
    ['fewer rows', { limits: { rowsWithoutPrompt: 0 } }],
    ['less scope', { agents: { coder: { ...coder, may: ['read orders-db'] } } }],
    ['no agent', { agents: {} }],
    ['another wait', { wait: '1s' }],
  ])('%s is no widening', (_what, changes) => {
    expect(findWidenings(accepted(), accepted(changes))).toEqual([])
  })

  test('a role of an agent’s own taken away again is one: it would run with the shared credential', () => {
    const own = accepted({ upstreams: { 'orders-db': { ...orders, as: { coder: 'file:own' } } } })
    expect(findWidenings(own, accepted())).toEqual([expect.stringMatching(/other credentials/)])
  })

  test('a first start accepts what it is given; a memory that cannot be read accepts nothing', () => {
    expect(admitConfiguration(null, accepted(), false)).toEqual([])
    for (const broken of ['', '{}', 'null', '{"v":2}']) expect(() => admitConfiguration(broken, accepted(), false)).toThrow(/\S/)
  })

  test('narrowing, accepted, is the new measure: the old width is a widening then', () => {
    const narrow = accepted({ agents: { coder: { ...coder, may: ['read orders-db'] } } })
    expect(findWidenings(narrow, accepted())).toHaveLength(1)
  })
})

test.each(['0.0.0.0:6432', '10.0.0.7:6432', '127x0x0x1:6432', '1270.0.0.1:6432'])(
  'agents are not heard on %s, where handles would travel in the clear',
  (address) => {
    for (const listen of [{ postgres: address }, { control: address }])
      expect(parseConfig(JSON.stringify({ ...base, listen }), '/etc/sallyport.yaml').ok).toBe(false)
  },
)

describe('a running set-up whose file somebody widens', () => {
  let postgres: PostgresServer
  let gate: TestGate
  beforeAll(async () => {
    postgres = await startPostgres()
    gate = await startGate({ postgres, agents: { coder: { owner: 'ada', may: ['read orders-db'] } }, proposes: true })
  })
  afterAll(async () => {
    await gate.stop()
    await postgres.stop()
  })

  function startAsWritten(): Promise<{ readonly code: number | null; readonly errors: string }> {
    const at = (...names: string[]): string => join(gate.directory, ...names)
    const flags = [
      `--config=${gate.configuration}`,
      `--state=${gate.directory}`,
      `--vault-socket=${at('run', 'vault.sock')}`,
      `--vault-token-file=${at('vault.token')}`,
    ]
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [gatewayMain, ...flags], (_error, _stdout, errors) =>
        resolve({ code: child.exitCode, errors }),
      )
    })
  }

  test('a mistake in the file cannot move the cursor of whoever reads it', async () => {
    const file = join(gate.directory, 'hostile.yaml')
    writeFileSync(file, 'version: 1\n"\\e[2J\\e[31mfine": 1\n')
    const errors = await new Promise<string>((resolve) => {
      execFile(process.execPath, [gatewayMain, '--check', `--config=${file}`], (_error, _stdout, said) => resolve(said))
    })
    expect(errors).toContain('fine')
    expect(errors).not.toContain(String.fromCharCode(27))
  })

  test('it does not start, says what and why, and starts with the old file', async () => {
    const written = readFileSync(gate.configuration, 'utf8')
    await gate.halt()
    writeFileSync(gate.configuration, written.replace('"read orders-db"', '"any orders-db"').replace('"team"', '"solo"'))
    const { code, errors } = await startAsWritten()
    expect(code).toBe(1)
    expect(errors).toMatch(/solo[\s\S]*--accept-configuration|may do more[\s\S]*--accept-configuration/)
    expect(errors).toContain('agents: coder may do more')
    writeFileSync(gate.configuration, written)
    await gate.start()
    const agent = await gate.connect('coder')
    expect((await agent.run('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await agent.close()
    expect(
      gate
        .events()
        .filter(({ type }) => type === 'configuration.applied')
        .at(-1)?.data['widened'],
    ).toEqual([])
  })

  test('with people enrolled it starts as it was, and is wider once two of them accepted exactly that', async () => {
    const [ada, bob] = [await gate.person('ada'), await gate.person('bob')]
    const written = readFileSync(gate.configuration, 'utf8')
    const wide = written.replace('"read orders-db"', '"any orders-db"')
    const tryWriting = async (): Promise<string> => {
      const agent = await gate.connect('coder')
      const { sqlState } = await agent.run('CREATE TABLE made_by_agent (id int)')
      await agent.close()
      return sqlState
    }
    const restart = async (): Promise<void> => {
      await gate.halt()
      await gate.start()
    }
    await gate.halt()
    writeFileSync(gate.configuration, wide)
    await gate.start()
    expect(await tryWriting()).not.toBe('00000')
    const proposed = gate.events().filter(({ type }) => type === 'configuration.proposed')
    expect(proposed.map(({ data }) => data['widenings'])).toEqual([['agents: coder may do more: any orders-db']])
    const digest = z.string().parse(proposed[0]?.data['digest'])

    const accept = async (person: HttpPerson): Promise<HttpAnswer> => {
      await person.signIn()
      const asked = await person.post(`/configuration/${digest}/options`, {})
      return person.post(`/configuration/${digest}/accept`, { response: person.sign(challengeIn(asked)) })
    }
    expect((await accept(ada)).status).toBe(200)
    await restart()
    expect(await tryWriting()).not.toBe('00000')
    // One of two is kept over a restart, and the same person again is not the second.
    expect((await accept(ada)).status).not.toBe(200)
    expect((await accept(bob)).status).toBe(200)
    expect(await tryWriting()).not.toBe('00000')

    for (const other of inDepth('eve')) {
      // Somebody widens it further meanwhile: what two people accepted was not this.
      writeFileSync(gate.configuration, wide.replace('"ada"', `"${other}"`))
      await restart()
      expect(await tryWriting()).not.toBe('00000')
      writeFileSync(gate.configuration, wide)
      await restart()
      const again = gate.events().filter(({ type }) => type === 'configuration.proposed')
      expect(again).toHaveLength(3)
      for (const person of [ada, bob]) expect((await accept(person)).status).toBe(200)
    }
    await restart()
    expect(await tryWriting()).toBe('00000')
    expect(
      gate
        .events()
        .filter(({ type }) => type === 'configuration.applied')
        .at(-1)?.data['widened'],
    ).toEqual(['agents: coder may do more: any orders-db'])
  })
})
