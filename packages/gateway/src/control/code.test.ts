import { beforeEach, describe, expect, test } from 'vitest'
import { codeAt, codeChallengeOf, codeStepOf, type AccessRequest, type CodeRule } from '@sallyport/core'
import { operatorToken, makePeopleBench, makeQuestion, type PeopleBench } from '../../../../tests/fakes/people.ts'
import { challengeIn, enrolAnother, makeSignedIn, makeSite, Visit, type Said } from '../../../../tests/fakes/visit.ts'
import { openCodeSeal } from '../access/code-seal.ts'

const rule: CodeRule = { approves: ['write', 'disrupt'], environments: ['staging', 'production'], beside: ['disrupt'] }
const codes = { rule, ...openCodeSeal(Buffer.alloc(32, 7)) }

let bench: PeopleBench
let ada: Visit
let site: Awaited<ReturnType<typeof makeSignedIn>>['site']

beforeEach(async () => {
  bench = makePeopleBench(codes)
  const made = await makeSignedIn(bench)
  ada = made.visit
  site = made.site
})

function fromBase32(text: string): Buffer {
  const bits = text
    .replaceAll(' ', '')
    .split('')
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
  return Buffer.from((bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
}

const later = (steps = 1): void => void (bench.clock.shiftMs += steps * 30_000)
const codeNow = (secret: Buffer, drift = 0): string => codeAt(secret, codeStepOf(bench.clock.nowMs()) + drift)
const wrongCode = (secret: Buffer): string => {
  const good = [-1, 0, 1].map((drift) => codeNow(secret, drift))
  return ['000000', '000001', '000002', '000003'].find((code) => !good.includes(code)) ?? ''
}

/** Sets the app up as its page does; its secret. */
async function setUp(visit: Visit): Promise<Buffer> {
  await visit.get('/people/me')
  const asked = await visit.post('/people/me/code/unlock/options', {})
  const unlocked = await visit.post('/people/me/code/unlock', { response: visit.passkey.assert(challengeIn(asked)) })
  expect(unlocked.body['go']).toBe('/people/me/code')
  const page = await visit.get('/people/me/code')
  const secret = fromBase32(/<pre>([A-Z2-7 ]+)<\/pre>/.exec(page.text)?.[1] ?? '')
  expect(secret).toHaveLength(20)
  expect((await visit.post('/people/me/code', { code: codeNow(secret) })).status).toBe(200)
  later()
  return secret
}

async function askMild(changes: Parameters<PeopleBench['ask']>[0] = {}): Promise<AccessRequest> {
  const [operation] = makeQuestion().operations
  if (operation === undefined) throw new Error('a question without operations')
  const mild = { ...operation, action: 'postgres.reindex', kind: 'disrupt', reversible: true } as const
  return bench.ask({ operations: [mild], copy: 'none', ...changes })
}

async function approve(visit: Visit, request: AccessRequest, code: string, shown = codeChallengeOf(request)): Promise<Said> {
  await visit.get(`/requests/${request.id}`)
  return visit.post(`/requests/${request.id}/code`, { code, reason: 'seen', shown })
}

const stateOf = async (id: string): Promise<string | undefined> => (await bench.ports.requests.get(id))?.state
const whys = (): readonly unknown[] => bench.log.ofType('verdict.refused').map(({ data }) => data['why'])

test('a code approves what policy lets it, and the log says that nothing was signed', async () => {
  const secret = await setUp(ada)
  const request = await askMild()
  expect((await ada.get(`/requests/${request.id}`)).text).toContain('Approve by a one-time code instead')
  expect((await approve(ada, request, codeNow(secret))).status).toBe(200)
  expect(await stateOf(request.id)).toBe('approved')
  const [verdict] = bench.log.ofType('verdict')
  expect(verdict?.data['approval']).toMatchObject({ person: 'ada', method: 'totp', evidence: { signed: false } })
  expect(bench.log.ofType('request.approved')[0]?.data).toMatchObject({ approvers: ['ada'], byCode: ['ada'] })
  expect((await ada.get(`/requests/${request.id}`)).text).toContain('approved by a one-time code, which signs nothing')
  const everything = JSON.stringify([bench.log.events, await bench.ports.people.list()])
  expect(everything).not.toContain(secret.toString('hex'))
  expect(everything).not.toContain(secret.toString('base64'))
})

describe('setting an app up', () => {
  test('takes a passkey, tells everybody, and shows its secret once', async () => {
    await ada.get('/people/me')
    expect((await ada.get('/people/me/code')).status).toBe(303)
    expect((await ada.post('/people/me/code', { code: '123456' })).status).toBe(409)
    expect((await ada.post('/people/me/code/unlock', { response: ada.passkey.assert('AAAA') })).status).toBe(409)
    await setUp(ada)
    expect((await ada.get('/people/me/code')).status).toBe(303)
    expect(bench.log.ofType('code.added')[0]?.data).toMatchObject({ person: 'ada', credential: ada.passkey.credentialId })
    expect(bench.log.ofType('alarm')[0]?.data).toMatchObject({ kind: 'code_added', person: 'ada' })
    expect((await ada.post('/people/me/code/unlock/options', {})).text).toContain('Remove that one first')
  })

  test('five wrong first codes, and its secret is gone', async () => {
    const asked = await ada.post('/people/me/code/unlock/options', {})
    await ada.post('/people/me/code/unlock', { response: ada.passkey.assert(challengeIn(asked)) })
    const secret = fromBase32(/<pre>([A-Z2-7 ]+)<\/pre>/.exec((await ada.get('/people/me/code')).text)?.[1] ?? '')
    for (let tried = 0; tried < 5; tried += 1)
      expect((await ada.post('/people/me/code', { code: wrongCode(secret) })).status).toBe(403)
    expect((await ada.post('/people/me/code', { code: codeNow(secret) })).status).toBe(409)
    expect(bench.log.ofType('code.added')).toEqual([])
  })

  test('its page in another session, or the secret of one person for another, is worth nothing', async () => {
    const grace = await enrolAnother(site, ada, 'grace')
    const asked = await ada.post('/people/me/code/unlock/options', {})
    await ada.post('/people/me/code/unlock', { response: ada.passkey.assert(challengeIn(asked)) })
    expect((await grace.get('/people/me/code')).status).toBe(303)
    const about = { person: 'ada', id: 'one' }
    const sealed = codes.seal(about, Buffer.alloc(20, 1))
    expect(codes.open(about, sealed)).toEqual(Buffer.alloc(20, 1))
    expect(codes.open({ ...about, person: 'grace' }, sealed)).toBeNull()
    expect(codes.open({ ...about, id: 'two' }, sealed)).toBeNull()
    expect(openCodeSeal(Buffer.alloc(32, 8)).open(about, sealed)).toBeNull()
    expect(codes.open(about, `${sealed.slice(0, -4)}AAAA`)).toBeNull()
    expect(codes.open(about, 'v1.')).toBeNull()
  })

  test('removing it takes a passkey, and its codes count no longer', async () => {
    const secret = await setUp(ada)
    const request = await askMild()
    const asked = await ada.post('/people/me/code/remove/options', {})
    expect((await ada.post('/people/me/code/remove', { response: ada.passkey.assert('AAAA') })).status).not.toBe(200)
    await ada.post('/people/me/code/remove/options', {})
    const again = await ada.post('/people/me/code/remove/options', {})
    expect(asked.status).toBe(200)
    expect((await ada.post('/people/me/code/remove', { response: ada.passkey.assert(challengeIn(again)) })).status).toBe(200)
    expect((await approve(ada, request, codeNow(secret))).text).toContain('You have no app of codes')
    expect(await stateOf(request.id)).toBe('pending')
    expect(bench.log.ofType('code.removed')).toHaveLength(1)
  })

  test('whoever is removed and taken back has none', async () => {
    const grace = await enrolAnother(site, ada, 'grace')
    await setUp(grace)
    await bench.ports.people.remove('grace', 'ada', bench.clock.nowMs())
    await bench.ports.people.restore('grace', 'ada', bench.clock.nowMs())
    expect((await bench.ports.people.list()).find(({ name }) => name === 'grace')?.codeApp).toBeNull()
  })
})

describe('the ways around', () => {
  test('a code that counted, on the same request and on another', async () => {
    const secret = await setUp(ada)
    const [one, other] = [await askMild({ approvalsNeeded: 2 }), await askMild({ text: 'another' })]
    const code = codeNow(secret)
    expect((await approve(ada, one, code)).status).toBe(200)
    expect((await approve(ada, one, code)).status).toBe(403)
    expect((await approve(ada, other, code)).status).toBe(403)
    expect(whys()).toEqual(Array.from({ length: 2 }, () => 'This code was used already, here or at another gate.'))
    // The step before it was there to be used as well, and is not any more.
    expect((await approve(ada, other, codeNow(secret, -1))).status).toBe(403)
    expect(await stateOf(other.id)).toBe('pending')
  })

  test('the code that set the app up', async () => {
    const secret = await setUp(ada)
    expect((await approve(ada, await askMild(), codeNow(secret, -1))).text).toContain('was used already')
  })

  test('one code at two gates at the same moment', async () => {
    const secret = await setUp(ada)
    const [one, other] = [await askMild(), await askMild({ text: 'another' })]
    const second = new Visit(makeSite(bench))
    for (const [name, value] of ada.cookies) second.cookies.set(name, value)
    await ada.get('/requests')
    await second.get('/requests')
    const code = codeNow(secret)
    const said = await Promise.all([approve(ada, one, code), approve(second, other, code)])
    expect(new Set(said.map(({ status }) => status))).toEqual(new Set([200, 403]))
  })

  test('for a request whose page showed something else', async () => {
    const secret = await setUp(ada)
    const [one, other] = [await askMild(), await askMild({ text: 'another' })]
    expect((await approve(ada, one, codeNow(secret), codeChallengeOf(other))).status).toBe(409)
    const changed = { ...one, question: { ...one.question, text: 'DROP DATABASE production' } }
    const get = bench.ports.requests.get.bind(bench.ports.requests)
    bench.ports.requests.get = async (id) => (id === one.id ? changed : get(id))
    expect((await approve(ada, one, codeNow(secret))).status).toBe(409)
    bench.ports.requests.get = get
    // It was not used up by it.
    expect((await approve(ada, one, codeNow(secret))).status).toBe(200)
  })

  test('with the operator’s token, with a handle, or signed in by nobody', async () => {
    const secret = await setUp(ada)
    const request = await askMild()
    const stranger = new Visit(site)
    await stranger.get('/sign-in')
    const body = { code: codeNow(secret), reason: '', shown: codeChallengeOf(request) }
    for (const authorization of [null, `Bearer ${operatorToken}`, `Basic ${btoa('coder:handle')}`])
      expect((await stranger.post(`/requests/${request.id}/code`, body, { authorization })).status).toBe(401)
    expect(await stateOf(request.id)).toBe('pending')
  })

  test('somebody else’s code', async () => {
    const secret = await setUp(ada)
    const grace = await enrolAnother(site, ada, 'grace')
    const request = await askMild()
    expect((await approve(grace, request, codeNow(secret))).text).toContain('You have no app of codes')
    await setUp(grace)
    expect((await approve(grace, request, codeNow(secret))).text).toContain('not the code of now')
  })

  test('brute force: five in a row and no code counts, however many come at once; the passkey does', async () => {
    const secret = await setUp(ada)
    const request = await askMild()
    const wrong = wrongCode(secret)
    const said = await Promise.all(Array.from({ length: 12 }, () => approve(ada, request, wrong)))
    expect(said.filter(({ text }) => text.includes('not the code of now'))).toHaveLength(5)
    expect(bench.log.ofType('alarm').filter(({ data }) => data['kind'] === 'code_locked')).not.toEqual([])
    expect((await approve(ada, request, codeNow(secret))).text).toContain('No code of yours counts any more')
    later(1000)
    await ada.signIn()
    expect((await ada.get('/people/me')).text).toContain('none counts any more')
    const fresh = await askMild({ text: 'another' })
    expect((await approve(ada, fresh, codeNow(secret))).status).toBe(403)
    expect((await ada.verdict(fresh, 'approve')).status).toBe(200)
  })

  test('a code that counts forgives the wrong ones before it', async () => {
    const secret = await setUp(ada)
    for (const text of ['one', 'another']) {
      const request = await askMild({ text })
      for (let tried = 0; tried < 4; tried += 1) expect((await approve(ada, request, wrongCode(secret))).status).toBe(403)
      expect((await approve(ada, request, codeNow(secret))).status).toBe(200)
      later(2)
    }
  })

  test('with the clock set back: what was used stays used', async () => {
    const secret = await setUp(ada)
    const [one, other] = [await askMild(), await askMild({ text: 'another' })]
    expect((await approve(ada, one, codeNow(secret))).status).toBe(200)
    later(-4)
    expect((await approve(ada, other, codeNow(secret))).text).toContain('was used already')
    later(10)
    expect((await approve(ada, other, codeNow(secret, -2))).text).toContain('not the code of now')
  })

  test.each([
    ['what destroys', {}],
    ['what is not reversible', { operations: [{ kind: 'write', reversible: false }] }],
    ['what it is not named for', { operations: [{ kind: 'read', reversible: true }] }],
    ['another environment', { environment: 'development', operations: [{ kind: 'write', reversible: true }] }],
    ['more scope', { protocol: 'sallyport', operations: [{ kind: 'write', reversible: true }] }],
    ['a plan', { steps: [], operations: [{ kind: 'write', reversible: true }] }],
    ['two people, beside a passkey', { approvalsNeeded: 2, operations: [{ kind: 'write', reversible: true }] }],
  ] as const)('downgrade: %s is neither offered nor taken', async (_name, { operations, ...changes }: Downgrade) => {
    const secret = await setUp(ada)
    const whole = makeQuestion().operations.flatMap((one) => (operations ?? [{}]).map((other) => ({ ...one, ...other })))
    const request = await bench.ask({ ...changes, operations: whole })
    expect((await ada.get(`/requests/${request.id}`)).text).not.toContain('Approve by a one-time code')
    expect((await approve(ada, request, codeNow(secret))).status).toBe(403)
    // Straight at the rule, past the route.
    const approval = { ...given(request), method: 'totp' } as const
    expect((await bench.ports.control.verdict(request.id, approval)).result).toBe('refused')
    expect(await stateOf(request.id)).toBe('pending')
  })

  test('said to be signed: a code’s challenge is no passkey’s, nor the other way round', async () => {
    const request = await askMild()
    expect((await bench.ports.control.verdict(request.id, given(request))).result).toBe('refused')
    for (const more of [
      { breakGlass: true },
      { conditions: { rowsMax: 1, notBeforeMs: null } },
      { verdict: 'reject' },
    ] as const) {
      const approval = { ...given(request), method: 'totp', ...more } as const
      expect(await bench.ports.control.verdict(request.id, approval)).toMatchObject({ why: 'A code says a plain yes.' })
    }
  })

  test('two people: one code beside one passkey where policy says so, never two codes', async () => {
    const adas = await setUp(ada)
    const grace = await enrolAnother(site, ada, 'grace')
    const graces = await setUp(grace)
    const both = await askMild({ approvalsNeeded: 2 })
    later()
    expect((await approve(ada, both, codeNow(adas))).body['state']).toBe('pending')
    expect((await approve(grace, both, codeNow(graces))).body['state']).toBe('pending')
    expect(await stateOf(both.id)).toBe('pending')
    const one = await askMild({ approvalsNeeded: 2, text: 'another' })
    later()
    expect((await approve(ada, one, codeNow(adas))).body['state']).toBe('pending')
    expect((await grace.verdict(one, 'approve')).body['state']).toBe('approved')
    expect(bench.log.ofType('request.approved').at(-1)?.data).toMatchObject({ byCode: ['ada'] })
  })

  test('the policy changed in between: the yes that came before counts no longer', async () => {
    const secret = await setUp(ada)
    const grace = await enrolAnother(site, ada, 'grace')
    const request = await askMild({ approvalsNeeded: 2 })
    expect((await approve(ada, request, codeNow(secret))).body['state']).toBe('pending')
    bench.state.codeRule = null
    expect((await grace.verdict(request, 'approve')).body['state']).toBe('pending')
    later()
    expect((await approve(ada, await askMild({ text: 'another' }), codeNow(secret))).text).toContain('No code approves anything')
  })

  test('the owner in team mode, and whoever is in no group that counts', async () => {
    const secret = await setUp(ada)
    const request = await askMild()
    bench.state.mode = 'team'
    expect((await approve(ada, request, codeNow(secret))).text).toContain('You own this agent')
    bench.state.mode = 'solo'
    bench.state.quorum = { group: 'dba', members: ['grace'], count: 1 }
    later()
    expect((await approve(ada, request, codeNow(secret))).text).toContain('Only people of the group')
  })

  test('where policy does not name it nothing of it is there', async () => {
    const plain = makePeopleBench()
    const { visit } = await makeSignedIn(plain)
    expect((await visit.get('/people/me')).text).not.toContain('One-time codes')
    expect((await visit.post('/people/me/code/unlock/options', {})).status).toBe(403)
    const request = await plain.ask({ environment: 'staging' })
    expect((await approve(visit, request, '123456')).status).toBe(403)
  })
})

interface Downgrade {
  readonly operations?: readonly { readonly kind?: 'read' | 'write'; readonly reversible?: boolean }[]
  readonly environment?: 'development'
  readonly protocol?: string
  readonly steps?: readonly []
  readonly approvalsNeeded?: number
}

function given(request: AccessRequest): Parameters<PeopleBench['ports']['control']['verdict']>[1] {
  const challenge = codeChallengeOf(request)
  return { person: 'ada', verdict: 'approve', atMs: 0, challenge, credentialId: 'totp:x', evidence: null, reason: '' }
}
