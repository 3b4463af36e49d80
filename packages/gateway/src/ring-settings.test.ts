import { expect, test } from 'vitest'
import { parseConfig, type Config } from './config.ts'
import { ringPlanOf } from './ring-settings.ts'

const file = (more: string): string => `version: 1
upstreams: { orders-db: { protocol: postgres, use: "env:U" } }
agents: {}
groups: { dba: [ada, Grace] }
deliver:
  audit: { webhook: "env:W", secret: "env:S" }
  phone-of-ada: { ntfy: "env:A", of: Ada }
  mail-of-ada: { mail: "env:M", from: a@example.com, to: [ada@example.com], of: ada }
  phone-of-grace: { ntfy: "env:G", of: grace }
  ops: { slack: "env:T", channel: "#ops" }
  everybody: { mail: "env:M", from: a@example.com, to: [all@example.com] }
  alarms-only: { ntfy: "env:A", events: [alarm, kill] }
${more}`

function read(more: string): Config {
  const parsed = parseConfig(file(more), 'sallyport.yaml')
  if (!parsed.ok) throw new Error(parsed.mistakes.map(({ what }) => what).join('; '))
  return parsed.config
}

test('with nothing said, everybody is told at once', () => {
  expect(ringPlanOf(read(''))).toBeNull()
})

test('a ring names receivers, people or groups; who stands in none is told at once', () => {
  const rings = 'escalate: [{ ring: ada }, { ring: [dba, ops], after: 5m }]'
  expect(() => read(rings)).toThrow('"phone-of-ada" is rung before already')
  expect(ringPlanOf(read('escalate: [{ ring: ada }, { ring: [Grace, ops], after: 5m }]'))?.steps).toEqual([
    { afterMs: 0, receivers: ['everybody'] },
    { afterMs: 0, receivers: ['phone-of-ada', 'mail-of-ada'] },
    { afterMs: 300_000, receivers: ['phone-of-grace', 'ops'] },
  ])
  expect(ringPlanOf(read('escalate: [{ ring: dba }]'))?.steps[1]?.receivers).toEqual([
    'phone-of-ada',
    'mail-of-ada',
    'phone-of-grace',
  ])
})

const weekly = 'people: [ada, Grace], from: "2026-03-16", at: "09:00", zone: Europe/Zurich, each: 7d'

test('a ring names a rotation: whoever has it then, and nobody of it at once', () => {
  const instead = 'instead: [{ from: "2026-03-18", until: "2026-03-20", person: grace }]'
  const [first, second] =
    ringPlanOf(read(`onCall: { weeks: { ${weekly}, ${instead} } }\nescalate: [{ ring: [weeks] }]`))?.steps ?? []
  expect(first?.receivers).toEqual(['ops', 'everybody'])
  expect(second).toMatchObject({ afterMs: 0, receivers: [] })
  const [shift] = second?.onCall ?? []
  expect(shift?.rotation).toMatchObject({ people: ['ada', 'Grace'], shiftDays: 7, handOverMinute: 540 })
  expect([...(shift?.receiversOf ?? [])]).toEqual([
    ['ada', ['phone-of-ada', 'mail-of-ada']],
    ['Grace', ['phone-of-grace']],
    ['grace', ['phone-of-grace']],
  ])
})

test.each([
  ['somebody who is reached by nothing', `weeks: { ${weekly.replace('Grace', 'eve')} }`, '"eve" is reached by no'],
  ['half a day', `weeks: { ${weekly.replace('7d', '12h')} }`, 'a shift is whole days'],
  ['a day that is none', `weeks: { ${weekly.replace('2026-03-16', '2026-02-30')} }`, 'there is no such day'],
  ['a zone that is none', `weeks: { ${weekly.replace('Europe/Zurich', 'Mars/Olympus')} }`, 'a time zone is written like'],
  ['a name that is taken', `dba: { ${weekly} }`, 'is the name of a receiver or a group already'],
  [
    'one that ends before it begins',
    `weeks: { ${weekly}, instead: [{ from: "2026-03-20", until: "2026-03-20", person: ada }] }`,
    'ends before it begins',
  ],
  [
    'two at once',
    `weeks: { ${weekly}, instead: [{ from: "2026-03-18", until: "2026-03-20", person: ada }, { from: "2026-03-19", until: "2026-03-21", person: ada }] }`,
    'begins before the one above it ends',
  ],
])('a rotation with %s is a mistake', (_name, rotation, said) => {
  expect(() => read(`onCall: { ${rotation} }`)).toThrow(said)
})

test('quiet hours name no rotation: they are of people', () => {
  const quiet = 'quietHours: [{ from: "22:00", until: "07:30", zone: UTC, for: weeks }]'
  expect(() => read(`onCall: { weeks: { ${weekly} } }\n${quiet}`)).toThrow('"weeks" is reached by no')
})

test('quiet hours are everybody’s, or those of whom they name', () => {
  const hours = 'from: "22:00", until: "07:30", zone: Europe/Zurich'
  const all = ['phone-of-ada', 'mail-of-ada', 'phone-of-grace', 'ops', 'everybody']
  expect(ringPlanOf(read(`quietHours: [{ ${hours} }]`))).toEqual({
    steps: [{ afterMs: 0, receivers: all }],
    quiet: [{ from: 1320, until: 450, zone: 'Europe/Zurich', days: [0, 1, 2, 3, 4, 5, 6], receivers: all }],
  })
  const ofAda = ringPlanOf(read(`quietHours: [{ ${hours}, for: ada, days: [fri, sat] }]`))
  expect(ofAda?.quiet).toMatchObject([{ days: [4, 5], receivers: ['phone-of-ada', 'mail-of-ada'] }])
})

test.each([
  ['nobody of that name', 'escalate: [{ ring: eve }]', '"eve" is reached by no ntfy, slack or mail', '{ ring: eve }'],
  ['one that hears no questions', 'escalate: [{ ring: alarms-only }]', '"alarms-only" is reached by no', 'ring: alarms-only'],
  ['a machine', 'escalate: [{ ring: audit }]', '"audit" is reached by no', 'ring: audit'],
  [
    'a ring that is not later',
    'escalate: [{ ring: ops, after: 5m }, { ring: ada, after: 5m }]',
    'each ring comes later',
    'after: 5m',
  ],
  ['a ring after the question is over', 'escalate: [{ ring: ops, after: 1h }]', 'after the question has expired', 'after: 1h'],
  [
    'a zone that is none',
    'quietHours: [{ from: "22:00", until: "07:00", zone: Zurich }]',
    'a time zone is written like',
    'zone: Zurich',
  ],
  ['a time that is none', 'quietHours: [{ from: "24:00", until: "07:00", zone: UTC }]', 'a time of day is written like', '24:00'],
  ['hours without end', 'quietHours: [{ from: "07:00", until: "07:00", zone: UTC }]', 'would never end', 'quietHours'],
  ['a day that is none', 'quietHours: [{ from: "22:00", until: "07:00", zone: UTC, days: [monday] }]', 'days are mon', 'monday'],
  ['a misspelling', 'escalate: [{ ring: ops, afer: 5m }]', '"afer" is no setting of escalate.0', 'afer'],
  [
    'quiet hours of nobody',
    'quietHours: [{ from: "22:00", until: "07:00", zone: UTC, for: eve }]',
    '"eve" is reached by no',
    'for: eve',
  ],
])('%s is said before anything starts, with its line', (_name, more, what, at) => {
  const parsed = parseConfig(file(more), 'sallyport.yaml')
  const mistakes = parsed.ok ? [] : parsed.mistakes
  expect(mistakes.map((mistake) => mistake.what).join('; ')).toContain(what)
  expect(file(more).split('\n')[(mistakes[0]?.line ?? 0) - 1]).toContain(at)
})
