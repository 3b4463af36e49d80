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

/** `sourceEnvironmentId` and `environmentIds` name environments. */
function nounOfKey(key: string, field: string): string | null {
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
  ['signalDefaultSet', 'signal'],
  ['signalDelete', 'signal'],
  ['signalReplace', 'signal'],
  ['signalRollback', 'signal'],
  ['signalRuleSet', 'signal'],
  ['signalRuleUnset', 'signal'],
])

/** Keys of a configuration under which things are listed by their ids. */
const listed: ReadonlyMap<string, string> = new Map([
  ['services', 'service'],
  ['volumes', 'volume'],
  ['buckets', 'bucket'],
  ['variables', 'variable'],
  ['sharedVariables', 'variable'],
])

/** What an operation touches, from its arguments; null when that is more than can be listed. */
export function readResources(field: string, given: Given): readonly Resource[] | null {
  const found = new Map<string, Resource>()
  const add = (type: string, name: Json): void => {
    if (typeof name === 'string' || typeof name === 'number') found.set(`${type}\n${name}`, { type, name: String(name) })
  }
  const visit = (key: string, value: Json): void => {
    const noun = nounOfKey(key, field)
    if (noun !== null) for (const id of isList(value) ? value : [value]) add(noun, id)
    const named = key === 'name' ? namedBy.get(field) : key === 'domain' ? 'domain' : undefined
    if (named !== undefined) add(named, value)
    const type = listed.get(key)
    if (type !== undefined && isObject(value)) for (const id of Object.keys(value)) add(type, id)
  }
  for (const [key, value] of given) {
    visit(key, value)
    if (!isObject(value)) continue
    for (const [inner, held] of Object.entries(value)) visit(inner, held)
  }
  addChanges(fieldOf(given.get('input'), 'changes') ?? fieldOf(given.get('input'), 'operations'), add)
  return found.size > resourcesMax ? null : [...found.values()]
}

/** Changes of a change set name what they change by id or by address (`volume.data`). */
function addChanges(changes: Json | undefined, add: (type: string, name: Json) => void): void {
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
