import type { Json, Resource } from '@sallyport/core'
import { fieldOf, isList, isObject } from './given-value.ts'
import type { Given } from './judge-arguments.ts'

/** Resources named in one operation; more are a request to take apart. */
const resourcesMax = 200

/** What things are called, longest first where one name begins with another. */
const nouns = [
  'accessToken apiToken auditLog bot bucket cloudAgent customDomain customer deployment deploymentTrigger environment group integration',
  'notificationRule observabilityDashboard passkey plugin privateNetwork privateNetworkEndpoint project projectToken providerAuth',
  'railwayDomain sandbox sandboxCheckpoint service serviceDomain serviceInstance session signal sshPublicKey tcpProxy team template',
  'trustedDomain user volume volumeInstance volumeInstanceBackup workspace',
]
  .join(' ')
  .split(' ')
  .sort((left, right) => right.length - left.length)

/** Fields whose `id` is of something else than their name begins with. */
const nounsOfId: ReadonlyMap<string, string> = new Map([
  ['baseEnvironmentOverride', 'deploymentTrigger'],
  ['domainStatus', 'customDomain'],
  ['environmentChangeSetApply', 'changeSet'],
  ['environmentPatch', 'environmentPatch'],
  ['notificationDelivery', 'notificationDelivery'],
  ['projectInvitationDelete', 'projectInvitation'],
  ['projectInvitationResend', 'projectInvitation'],
  ['sandboxTemplateBuild', 'sandboxTemplate'],
  ['workspacePolicyDeploySourceAllowlistRemove', 'deploySource'],
])

/** Keys that are no ids and yet say whom, or out of what. */
const telling: ReadonlyMap<string, string> = new Map([
  ['baseEnvironmentOverrideId', 'environment'],
  ['domain', 'domain'],
  ['domainName', 'domain'],
  ['email', 'address'],
  ['fullRepoName', 'repository'],
  ['image', 'image'],
  ['nameservers', 'nameserver'],
  ['newEmail', 'address'],
  ['repo', 'repository'],
  ['repository', 'repository'],
])

/** `sourceEnvironmentId` and `environmentIds` name environments. */
function nounOfKey(key: string, field: string): string | null {
  const told = telling.get(key)
  // the image of a published template is a picture
  if (told !== undefined && field !== 'templatePublish') return told
  const own = key === 'id' ? nounsOfId.get(field) : undefined
  if (own !== undefined) return own
  if (key === 'id' || key === 'ids') return nouns.find((noun) => field.startsWith(noun)) ?? 'object'
  const stem = /^(.+?)Ids?$/.exec(key)?.[1]
  if (stem === undefined) return null
  const folded = stem.toLowerCase()
  return nouns.find((noun) => folded.endsWith(noun.toLowerCase())) ?? stem
}

/** Names that identify where the API takes a name instead of an id. */
const namedBy: ReadonlyMap<string, string> = new Map([
  ['variableDelete', 'variable'],
  ['variableUpsert', 'variable'],
  ['sharedVariableConfigure', 'variable'],
])

/** Keys of a configuration under which things are listed by their ids. */
const listed: ReadonlyMap<string, string> = new Map([
  ['services', 'service'],
  ['volumes', 'volume'],
  ['buckets', 'bucket'],
  ['variables', 'variable'],
  ['sharedVariables', 'variable'],
])

type Add = (type: string, name: Json) => void

/** What an operation touches, from its arguments; null when that is more than can be listed. */
export function readResources(field: string, given: Given): readonly Resource[] | null {
  const found = new Map<string, Resource>()
  const add: Add = (type, name) => {
    if (typeof name === 'string' || typeof name === 'number') found.set(`${type}\n${name}`, { type, name: String(name) })
  }
  const visit = (key: string, value: Json): void => {
    const noun = nounOfKey(key, field)
    if (noun !== null) for (const id of isList(value) ? value : [value]) add(noun, id)
    const named = key === 'name' ? namedBy.get(field) : undefined
    if (named !== undefined) add(named, value)
    const type = listed.get(key)
    if (type !== undefined && isObject(value)) for (const id of Object.keys(value)) add(type, id)
    // where a service comes from is one level deeper
    if ((key === 'source' || key === 'repo') && isObject(value))
      for (const [inner, held] of Object.entries(value)) visit(inner, held)
  }
  for (const [key, value] of given) {
    visit(key, value)
    if (!isObject(value)) continue
    for (const [inner, held] of Object.entries(value)) visit(inner, held)
    addWithin(fieldOf(value, 'services'), add)
  }
  addSignal(field, given.get('input'), add)
  addHost(field, given.get('url'), add)
  addChanges(fieldOf(given.get('input'), 'changes') ?? fieldOf(given.get('input'), 'operations'), add)
  return found.size > resourcesMax ? null : [...found.values()]
}

/** What a configuration says of its services: the volumes they mount, the domains they answer to, what they are made of. */
function addWithin(services: Json | undefined, add: Add): void {
  if (!isObject(services)) return
  for (const service of Object.values(services)) {
    const networking = fieldOf(service, 'networking')
    for (const [type, held] of [
      ['volume', fieldOf(service, 'volumeMounts')],
      ['domain', fieldOf(networking, 'customDomains')],
      ['domain', fieldOf(networking, 'serviceDomains')],
    ] as const)
      if (isObject(held)) for (const name of Object.keys(held)) add(type, name)
    const source = fieldOf(service, 'source')
    add('image', fieldOf(source, 'image') ?? null)
    add('repository', fieldOf(source, 'repo') ?? null)
  }
}

/** A signal's name is its own only beside its owner's. */
function addSignal(field: string, input: Json | undefined, add: Add): void {
  const name = fieldOf(input, 'name')
  const owner = fieldOf(input, 'owner')
  if (field.startsWith('signal') && typeof name === 'string') add('signal', typeof owner === 'string' ? `${owner}/${name}` : name)
}

/** Where something is sent to; the rest of the URL may be a secret. */
function addHost(field: string, url: Json | undefined, add: Add): void {
  if (field === 'webhookTest' && typeof url === 'string') add('host', URL.canParse(url) ? new URL(url).host : 'unreadable')
}

/** Changes of a change set name what they change by id or by address (`volume.data`). */
function addChanges(changes: Json | undefined, add: Add): void {
  if (!isList(changes)) return
  for (const change of changes) {
    const kind = fieldOf(change, 'kind')
    const id = fieldOf(change, 'id')
    const address = fieldOf(change, 'address')
    if (id !== undefined) add(typeof kind === 'string' && nouns.includes(kind) ? kind : 'object', id)
    if (typeof address === 'string') {
      const [type = '', ...rest] = address.split('.')
      add(nouns.includes(type) ? type : 'object', rest.join('.') || address)
    }
  }
}
