import { expect, it, vi } from 'vitest'
import { z } from 'zod'
import { useAttackedGate } from '../servers/attacked-gate.ts'
import { arrange } from '../servers/gate.ts'
import { eventsOf, patience, textOf } from '../stories/evidence.ts'

vi.setConfig(patience)

/** An agent that tries what it may not do is seen by its events together, and stopped where the configuration says so. */
const attacked = useAttackedGate({
  wait: '0ms',
  alarms: { probing: 'kill' },
  furtherAgents: { other: { owner: 'ada', may: ['read orders-db'] } },
  prepare: (postgres) => arrange(postgres, 'CREATE TABLE orders (id int)'),
})

it('ten refusals in a minute stop the agent, and nobody else; the alarm names the events it rests on', async () => {
  const { gate } = attacked
  const calm = await gate.connect('other')
  const handle = await gate.issue('reader')
  const agent = await gate.connect('reader', { handle })
  for (let one = 0; one < 9; one += 1) expect((await agent.run(`INSERT INTO orders VALUES (${one})`)).sqlState).toBe('42501')
  expect((await agent.run('SELECT 1')).sqlState).toBe('00000')
  await agent.run('DROP TABLE orders')
  await expect.poll(() => eventsOf(gate, 'kill').length).toBe(1)
  await expect.poll(async () => (await agent.run('SELECT 1')).sqlState).not.toBe('00000')

  const [alarm] = eventsOf(gate, 'alarm')
  expect(alarm).toMatchObject({ agent: 'reader', data: { kind: 'probing', who: 'reader' } })
  const { events } = z.object({ events: z.array(z.number()) }).parse(alarm?.data)
  const all = gate.events()
  expect(events.map((index) => all[index])).toMatchObject(
    Array.from({ length: 10 }, () => ({ type: 'decision', agent: 'reader' })),
  )
  expect(textOf(eventsOf(gate, 'kill')[0], 'reason')).toContain('alarm probing')

  await expect(gate.connect('reader', { handle })).rejects.toThrow('password authentication failed')
  expect((await calm.run('SELECT 1')).sqlState).toBe('00000')
  await calm.close()
})
