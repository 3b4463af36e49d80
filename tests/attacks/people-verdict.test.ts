import { describe, expect, test } from 'vitest'
import {
  challengeOf,
  countApprovers,
  createGovern,
  giveVerdict,
  isSamePerson,
  recover,
  type Event,
  type VerdictPorts,
} from '@sallyport/core'
import { attend, askFor, dropBench, unnamed } from './people-bench.ts'
import { approvalOf, type Bench } from '../fakes/ports.ts'

const verdictPorts = (bench: Bench): VerdictPorts => ({
  clock: bench.clock,
  random: bench.ports.random,
  log: bench.log,
  requests: bench.ports.requests,
  policyHash: () => bench.ports.policy().hash,
  mode: () => bench.settings.mode,
  isEnrolled: () => Promise.resolve(true),
  quorumOf: () => null,
  grantMs: 900_000,
})

async function* replay(events: readonly Event[]): AsyncGenerator<Event> {
  yield* events
}

/** A gate that dies after the verdict is on the log and before the store has it. */
async function verdictWithoutStore(bench: Bench, person: string): Promise<string> {
  const { requests } = bench.ports
  await createGovern(bench.ports).ask(askFor(bench), attend())
  const [request] = bench.opened
  if (request === undefined) throw new Error('no request')
  const dying: VerdictPorts = {
    ...verdictPorts(bench),
    requests: {
      ...requests,
      addApproval: async () => {
        throw new Error('killed here')
      },
    },
  }
  await expect(giveVerdict(dying, request.id, approvalOf(request, person))).rejects.toThrow('killed here')
  expect(bench.log.types()).toContain('verdict')
  return request.id
}

describe('a verdict that a crash cut in half', () => {
  test('counts after a restart, once', async () => {
    const bench = dropBench()
    const id = await verdictWithoutStore(bench, 'bob')
    const found = await recover(verdictPorts(bench), replay([...bench.log.events]))
    expect(found.applied).toEqual([id])
    expect((await bench.ports.requests.get(id))?.state).toBe('approved')
  })

  test('does not outlive its request: no fresh grant days after the question ran out', async () => {
    const bench = dropBench()
    const id = await verdictWithoutStore(bench, 'bob')
    bench.clock.advance(3 * 86_400_000)
    await recover(verdictPorts(bench), replay([...bench.log.events]))
    const { requests } = bench.ports
    expect((await requests.get(id))?.state).not.toBe('approved')
    expect(await requests.findGrant('coder', bench.opened[0]?.question.digest ?? '')).toBeNull()
  })

  test('does not outlive the policy it was given under', async () => {
    const bench = dropBench()
    const id = await verdictWithoutStore(bench, 'bob')
    bench.may = ['any orders-db', 'read stock-db']
    await recover(verdictPorts(bench), replay([...bench.log.events]))
    expect((await bench.ports.requests.get(id))?.state).toBe('pending')
  })

  test('does not count for the owner when the gate comes back in team mode', async () => {
    const bench = dropBench()
    bench.settings.mode = 'solo'
    const id = await verdictWithoutStore(bench, 'ada')
    bench.settings.mode = 'team'
    await recover(verdictPorts(bench), replay([...bench.log.events]))
    expect((await bench.ports.requests.get(id))?.state).toBe('pending')
  })

  test('does not count when what was signed is not what the store now asks', async () => {
    const bench = dropBench()
    const id = await verdictWithoutStore(bench, 'bob')
    const forged = bench.log.events.map((event) =>
      event.type === 'verdict'
        ? { ...event, data: { ...event.data, approval: { ...Object(event.data['approval']), challenge: '0'.repeat(64) } } }
        : event,
    )
    await recover(verdictPorts(bench), replay(forged))
    expect((await bench.ports.requests.get(id))?.state).toBe('pending')
  })
})

test('both verdicts on one question sign different bytes', async () => {
  const bench = dropBench()
  await createGovern(bench.ports).ask(askFor(bench), attend())
  const [request] = bench.opened
  if (request === undefined) throw new Error('no request')
  expect(challengeOf(request, 'approve')).not.toBe(challengeOf(request, 'reject'))
})

describe('a second person by spelling', () => {
  test.each([
    ['case', 'ada', 'ADA'],
    ['width', 'ada', 'ａｄａ'],
    ['a trailing dot', 'ada', 'ada.'],
    ['a trailing dash', 'ada', 'ada -'],
    ['another apostrophe', "o'hara", 'o’hara'],
    ['two blanks', 'ada lovelace', 'ada  lovelace'],
    ['a dot for the blank', 'ada lovelace', 'ada.lovelace'],
    ['sharp s', 'strauß', 'STRAUSS'],
    ['final sigma', 'νικος', 'νικοσ'],
    ['a dotless i', 'ali', 'alı'],
    ['a dotted capital I', 'ali', 'ALİ'],
    ['a combining mark', 'ada', `ad${unnamed('0301')}a`],
    ['a zero-width joiner', 'ada', `ad${unnamed('200D')}a`],
    ['a soft hyphen', 'ada', `ad${unnamed('00AD')}a`],
    ['a variation selector', 'ada', `ada${unnamed('FE0F')}`],
  ])('%s makes none', (_trick, owner, other) => {
    expect(isSamePerson(owner, other)).toBe(true)
    expect(countApprovers([other], owner, 'team').counted).toBe(0)
    expect(countApprovers([owner, other], 'eve', 'team').counted).toBe(1)
  })

  test.each([
    ['ada', 'bob'],
    ['ada', 'ada2'],
    ['山田', '山本'],
  ])('%s and %s are two', (one, other) => {
    expect(isSamePerson(one, other)).toBe(false)
  })
})

describe('questions that nobody answered', () => {
  test('run out, and do not lock their agent out for ever', async () => {
    const bench = dropBench()
    const govern = createGovern(bench.ports)
    for (let index = 0; index < bench.settings.pendingMax; index += 1) await govern.ask(askFor(bench, index), attend())
    expect(await govern.ask(askFor(bench, 100), attend())).toMatchObject({ code: 'limit_exceeded' })
    bench.clock.advance(bench.settings.requestMs + 1)
    expect(await govern.ask(askFor(bench, 101), attend())).toMatchObject({ code: 'approval_required' })
  })
})

describe('text that grows on the log', () => {
  test.each([
    ['control characters', '\u0001'],
    ['quotes', '"'],
    ['three-byte letters', '語'],
  ])('a refused statement full of %s still leaves its mark', async (_what, character) => {
    const bench = dropBench()
    bench.may = ['read orders-db']
    await createGovern(bench.ports).ask({ ...askFor(bench), text: `DROP TABLE orders -- ${character.repeat(20_000)}` }, attend())
    const denied = bench.log.events.find(({ type }) => type === 'decision')
    expect(Buffer.byteLength(JSON.stringify(denied))).toBeLessThan(65_535)
    expect(JSON.stringify(denied)).toContain('DROP TABLE orders')
  })
})

test('a kill that lands while the intent becomes durable leaves an outcome: nothing ran', async () => {
  const bench = dropBench()
  bench.settings.mode = 'solo'
  bench.settings.coolOffMs = 0
  const govern = createGovern(bench.ports)
  await govern.ask(askFor(bench), attend())
  const [request] = bench.opened
  if (request === undefined) throw new Error('no request')
  await giveVerdict(verdictPorts(bench), request.id, approvalOf(request, 'bob'))
  const append = bench.log.append.bind(bench.log)
  bench.log.append = async (event) => {
    const index = await append(event)
    if (event.type === 'intent') bench.killSwitch.pull('enough')
    return index
  }
  expect(await govern.ask(askFor(bench), attend())).toMatchObject({ outcome: 'refused', code: 'killed' })
  const [intent] = bench.log.events.filter(({ type }) => type === 'intent')
  const [outcome] = bench.log.events.filter(({ type }) => type === 'outcome')
  expect(intent).toBeDefined()
  expect(outcome?.data).toMatchObject({ intent: intent?.data['intent'], result: 'failed' })
})
