import { describe, expect, test } from 'vitest'
import { describeWelcome, type Welcome } from './welcome.ts'

const isolation = {
  level: 0,
  worth: 'advice only',
  waysAround: ['it runs as this very user'],
  mend: ['run it as another one'],
} as const
const welcome: Welcome = {
  isolation,
  controlUrl: 'http://localhost:6480',
  postgresAddress: '127.0.0.1:6432',
  httpAddress: '127.0.0.1:6443',
  configuration: '/home/ada/shop/.sallyport/playground.yaml',
  stateDirectory: '/home/ada/shop/.sallyport',
  isDefaultState: true,
  secondsToReady: 2,
  proposed: [],
  enrolmentUrl: 'http://localhost:6480/enrol#token',
  trial: { agent: 'coder', handle: 'sp_handle', expiresInMinutes: 60, volume: '17499ac5-3edd-446f-94c9-4bc15d49e734' },
}

describe('the welcome', () => {
  test('of a playground: at most 36 lines, the call of the incident to paste, commands by npx', () => {
    const text = describeWelcome(welcome)
    expect(text.split('\n').length).toBeLessThanOrEqual(36)
    expect(text).toContain('127.0.0.1:6443 (HTTPS proxy)')
    const [, body = ''] =
      /curl --cacert \S+ -x http:\/\/coder:sp_handle@127\.0\.0\.1:6443 https:\/\/\S+ .* -d '([^']+)'$/m.exec(text) ?? []
    expect(JSON.parse(body)).toEqual({ query: 'mutation { volumeDelete(volumeId: "17499ac5-3edd-446f-94c9-4bc15d49e734") }' })
    expect(text).not.toMatch(/(?<!npx )sallyport (undo|kill|doctor)/)
    expect(text).toContain('npx sallyport undo last\n')
    expect(text).toContain('npx sallyport kill --agent coder\n')
  })

  test('a state elsewhere is named in each command, quoted where a shell would split it', () => {
    const text = describeWelcome({ ...welcome, isDefaultState: false, stateDirectory: "/tmp/ada's state" })
    expect(text).toContain(`npx sallyport undo last --state '/tmp/ada'\\''s state'`)
    expect(text).toContain(`--cacert '/tmp/ada'\\''s state/authority/ca.pem'`)
  })

  test('with no http upstream and no playground there is nothing about either', () => {
    const text = describeWelcome({ ...welcome, httpAddress: null, trial: null })
    expect(text).not.toMatch(/curl|HTTPS/)
    expect(text).toContain('npx sallyport run --agent NAME')
  })
})
