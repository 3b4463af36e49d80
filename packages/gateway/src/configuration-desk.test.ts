import { expect, test } from 'vitest'
import { FakeClock, MemoryLog } from '../../../tests/fakes/ports.ts'
import { parseConfig, type Config } from './config.ts'
import { keepAccepted, openConfigurationDesk, proposalName } from './configuration-desk.ts'
import { readProposal, settleConfiguration, type Settled } from './proposal.ts'
import { openDatabase } from './store/database.ts'
import { openMeta } from './store/meta.ts'

function configOf(may: string): Config {
  const text = `version: 1
coolOff: 0s
upstreams: { orders-db: { protocol: postgres, use: file:use } }
agents: { coder: { owner: ada, may: [${may}] } }
`
  const read = parseConfig(text, '/etc/sallyport.yaml')
  if (!read.ok) throw new Error(JSON.stringify(read.mistakes))
  return read.config
}

const narrow = configOf('read orders-db')
const wide = configOf('any orders-db')
const ports = { clock: new FakeClock(), log: new MemoryLog(), memory: openMeta(openDatabase(':memory:')) }
const { memory } = ports

/** A gate starts on this file, as a real one does. */
async function start(file: Config): Promise<Settled> {
  const stored = {
    accepted: memory.get('configuration'),
    text: memory.get('configuration text'),
    proposal: memory.get(proposalName),
  }
  const nowMs = ports.clock.nowMs()
  const settled = settleConfiguration(file, stored, { isAccepted: false, isOwn: stored.accepted === null, enrolled: 1, nowMs })
  await keepAccepted(ports, settled.config, settled.proposal)
  return settled
}

test('what was typed and accepted waits over a start for whoever puts it into the file, and is in force only then', async () => {
  expect((await start(narrow)).config).toBe(narrow)
  const read = (): ReturnType<typeof parseConfig> => ({ ok: true, config: narrow })
  const desk = openConfigurationDesk({ ...ports, read }, narrow)
  expect(await desk.proposeText(wide.text, 'ada')).toMatchObject({ outcome: 'proposed' })
  expect((await start(narrow)).config.text).toBe(narrow.text)
  const waits = readProposal(memory.get(proposalName))
  expect(waits).toMatchObject({ by: 'ada', text: wide.text })
  const signed = { person: 'ada', credentialId: 'k', challenge: 'c', statement: null, evidence: null }
  expect(await desk.accept(waits?.digest ?? '', signed, 1)).toMatchObject({ missing: 0 })
  // The file says nothing of it yet: nothing is taken over, and nothing lost.
  expect((await start(narrow)).config.text).toBe(narrow.text)
  expect(readProposal(memory.get(proposalName))?.acceptances).toHaveLength(1)
  expect((await start(wide)).config.text).toBe(wide.text)
  expect(memory.get(proposalName)).toBe('')
})

test('what was typed is gone once something else came into force, and what the file proposed goes with the file', async () => {
  memory.set('configuration', JSON.stringify(null))
  memory.set(proposalName, '')
  await keepAccepted(ports, narrow, null)
  const desk = openConfigurationDesk({ ...ports, read: () => ({ ok: true, config: wide }) }, narrow)
  await desk.reread()
  expect(readProposal(memory.get(proposalName))).toMatchObject({ by: null })
  await start(narrow)
  expect(memory.get(proposalName)).toBe('')
  await desk.proposeText(wide.text, 'ada')
  const settled = await start(configOf('write orders-db, read orders-db'))
  expect(settled.proposal).not.toBeNull()
  expect(readProposal(memory.get(proposalName))).toMatchObject({ by: null })
})
