import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { readAsked, readSwitchData, readToSwitch } from './heard.ts'

test('an order is read when it is whole, and nothing besides', () => {
  const order = { kind: 'agent', name: 'coder', reason: 'enough', drain: false }
  expect(readAsked(order)).toEqual(order)
  expect(readAsked({ ...order, kind: 'all', name: '' })).toEqual({ ...order, kind: 'all', name: '' })
  const without = Object.keys(order).map((name) => Object.fromEntries(Object.entries(order).filter(([key]) => key !== name)))
  const wrong = [
    null,
    'all',
    [],
    [order],
    {},
    { ...order, more: 1 },
    { ...order, kind: 'everything' },
    { ...order, kind: ['agent'] },
  ]
  const bounds = [
    { ...order, name: 'a'.repeat(257) },
    { ...order, reason: 'a'.repeat(1001) },
    { ...order, drain: 0 },
  ]
  const everything = [
    { ...order, kind: 'all' },
    { ...order, name: '' },
  ]
  const disguised = [JSON.parse(`{"__proto__":${JSON.stringify(order)}}`), { ...order, name: { toString: () => 'coder' } }]
  for (const asked of [...without, ...wrong, ...bounds, ...everything, ...disguised])
    expect(readAsked(asked), JSON.stringify(asked)).toBeNull()
})

test('the gate’s thread is believed only what it can say', () => {
  for (const said of [
    { says: 'stopped', number: 1, sessions: 0 },
    { says: 'written', number: 2, id: null },
    { says: 'written', number: 2, id: 7 },
    { says: 'signal' },
  ])
    expect(readToSwitch(said)).toEqual(said)
  for (const said of [
    { says: 'stopped', number: 0, sessions: 0 },
    { says: 'stopped', number: 1 },
    { says: 'stopped', number: 1, sessions: -1 },
    { says: 'stopped', number: 1.5, sessions: 0 },
    { says: 'written', number: 1, id: '7' },
    { says: 'written', number: 1, id: 7, more: true },
    { says: 'settled' },
    'signal',
    null,
  ])
    expect(() => readToSwitch(said), JSON.stringify(said)).toThrow(TypeError)
})

test('the thread does not begin without all that it is given', () => {
  const { port1, port2 } = new MessageChannel()
  const paths = { recordPath: 'r', socketPath: 's', filePath: 'f', tokenSha256: 'a' }
  const data = { ...paths, leaseMs: 1, isShared: false, memory: new SharedArrayBuffer(8), gates: null, port: port1 }
  expect(readSwitchData(data)).toEqual(data)
  for (const name of Object.keys(data)) expect(() => readSwitchData({ ...data, [name]: undefined }), name).toThrow(TypeError)
  for (const port of [port1, port2]) port.close()
})
