import type { Describers, Json } from '@sallyport/core'
import { judgeChangeSet } from './change-set.ts'
import { judgeCommand } from './command.ts'
import { judgeInstance, judgePatch } from './environment-patch.ts'
import { destroys, disrupts, escalates, type Finding, unknown, worst, writes } from './finding.ts'
import { fieldOf, isList, isObject } from './given-value.ts'
import { findForeignReference, judgeVariable, judgeVariables } from './variable.ts'

export type Given = ReadonlyMap<string, Json>
type Judge = (given: Given, ask: Describers) => Finding | Promise<Finding>

const nothing = writes('changes what its name says')

function input(given: Given, name: string): Json | undefined {
  return fieldOf(given.get('input'), name)
}

function isSet(value: Json | undefined): boolean {
  return value !== undefined && value !== null
}

function judgeCollection(given: Given): Finding {
  const replace = input(given, 'replace') ?? false
  const set = judgeVariables(input(given, 'variables'))
  return replace === false ? set : worst(destroys('removes every variable that it does not list'), [set])
}

function judgeUpsert(given: Given): Finding {
  const name = input(given, 'name')
  const value = input(given, 'value')
  return typeof name !== 'string' || value === undefined
    ? writes('sets a variable that it does not name')
    : judgeVariable(name, value)
}

/** The states of a volume that mean nothing is being taken away. */
const mildStates: ReadonlySet<Json> = new Set(['READY'])
const busyStates: ReadonlySet<Json> = new Set(['ERROR', 'MIGRATING', 'MIGRATION_PENDING', 'RESTORING', 'UPDATING'])

function judgeVolume(given: Given): Finding {
  const state = input(given, 'state')
  const findings: Finding[] = []
  if (state === 'DELETED' || state === 'DELETING') findings.push(destroys('sets a volume to deleted'))
  else if (isSet(state) && busyStates.has(state ?? null))
    findings.push(disrupts('sets a volume to a state in which it is not served'))
  else if (isSet(state) && !mildStates.has(state ?? null))
    findings.push(unknown('sets a volume to a state that is not known here'))
  if (input(given, 'serviceId') === null) findings.push(disrupts('takes a volume from its service'))
  return worst(nothing, findings)
}

function judgeSchedule(given: Given): Finding {
  const kinds = given.get('kinds')
  if (kinds === undefined || kinds === null) return unknown('does not say which backups shall be made')
  return isList(kinds) && kinds.length === 0 ? escalates('turns all backups of a volume off') : nothing
}

function judgeServiceCreate(given: Given): Finding {
  const name = input(given, 'name')
  const own = new Set(typeof name === 'string' ? [name] : [])
  const findings = [findForeignReference(JSON.stringify(input(given, 'variables') ?? null), own)]
  if (isSet(input(given, 'registryCredentials'))) findings.push(escalates('sets the credential of a registry'))
  return worst(nothing, present(findings))
}

function present(findings: readonly (Finding | null)[]): readonly Finding[] {
  return findings.flatMap((finding) => (finding === null ? [] : [finding]))
}

/** A rule without events, severities or addresses tells nobody anything. */
function judgeNotification(given: Given): Finding {
  const isSilent = ['channelConfigs', 'eventTypes', 'severities'].some((key) => {
    const list = input(given, key)
    return isList(list) && list.length === 0
  })
  return isSilent ? escalates('turns alerts off') : nothing
}

function judgeSharing(given: Given): Finding {
  const taken = input(given, 'disabledServiceIds')
  return !isSet(taken) || (isList(taken) && taken.length === 0) ? nothing : disrupts('takes a variable from services that use it')
}

/** Machines for agents: what is handed to them, the agent can read. */
function judgeSandbox(given: Given): Finding {
  const isPrivate = input(given, 'networkIsolation')
  const findings = [findForeignReference(JSON.stringify(given.get('input') ?? null))]
  if (isSet(isPrivate) && isPrivate !== 'ISOLATED') findings.push(escalates('puts a sandbox into the private network'))
  return worst(nothing, present(findings))
}

/** A template makes its own services, whose variables may refer to each other. */
function judgeTemplate(given: Given): Finding {
  const config = input(given, 'serializedConfig')
  const services = fieldOf(config, 'services')
  const made = isObject(services) ? Object.values(services).map((service) => fieldOf(service, 'name')) : []
  const listed = input(given, 'services')
  const named = isList(listed) ? listed.map((service) => fieldOf(service, 'serviceName')) : []
  const own = new Set([...made, ...named].flatMap((name) => (typeof name === 'string' ? [name] : [])))
  const text = JSON.stringify([config ?? null, listed ?? null])
  const findings = [findForeignReference(text, own)]
  if (/"isDeleted":(?!false|null)/.test(text)) findings.push(destroys('holds a configuration that deletes'))
  if (isSet(input(given, 'existingRootServiceId'))) findings.push(disrupts('turns a service that runs into part of a cluster'))
  return worst(nothing, present(findings))
}

async function judgeExecution(given: Given, ask: Describers): Promise<Finding> {
  return judgeCommand(given.get('command') ?? 0, ask)
}

const judges: ReadonlyMap<string, Judge> = new Map<string, Judge>([
  ['cloudAgentCreate', judgeSandbox],
  ['dockerComposeImport', (given) => findForeignReference(JSON.stringify(given.get('yaml') ?? null)) ?? nothing],
  ['environmentApplyChangeSet', (given, ask) => judgeChangeSet(given.get('input'), ask)],
  ['environmentPatchCommit', (given, ask) => judgePatch(given.get('patch'), ask)],
  ['environmentStageChanges', (given, ask) => judgePatch(given.get('input'), ask)],
  ['notificationRuleUpdate', judgeNotification],
  ['projectUpdate', (given) => ((input(given, 'isPublic') ?? false) === false ? nothing : escalates('makes a project public'))],
  [
    'railwayDomainUpdate',
    (given) =>
      (input(given, 'autoRenewEnabled') ?? true) === true ? nothing : escalates('lets the registration of a domain run out'),
  ],
  ['sandboxCreate', judgeSandbox],
  ['sandboxExec', judgeExecution],
  ['sandboxTemplateBuild', judgeSandbox],
  ['serviceCreate', judgeServiceCreate],
  ['serviceInstanceUpdate', (given, ask) => judgeInstance(given.get('input'), ask)],
  [
    'setServiceUnderAttackMode',
    (given) => (input(given, 'enabled') === true ? nothing : escalates('turns the defence of a service off')),
  ],
  ['sharedVariableConfigure', judgeSharing],
  ['templateDeploy', judgeTemplate],
  ['templateDeployV2', judgeTemplate],
  ['variableCollectionUpsert', judgeCollection],
  ['variableUpsert', judgeUpsert],
  ['volumeInstanceBackupScheduleUpdate', judgeSchedule],
  ['volumeInstanceUpdate', judgeVolume],
])

export const judgedMutations: readonly string[] = [...judges.keys()]

/** What the arguments of a mutation add to what it does anyway. */
export async function judgeArguments(name: string, given: Given, ask: Describers): Promise<Finding | null> {
  return (await judges.get(name)?.(given, ask)) ?? null
}
