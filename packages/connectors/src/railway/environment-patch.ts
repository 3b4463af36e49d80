import type { Describers, Json } from '@sallyport/core'
import { judgeCommand } from './command.ts'
import { destroys, disrupts, escalates, type Finding, removes, unknown, worst, writes } from './finding.ts'
import { isObject } from './given-value.ts'
import { judgeVariables } from './variable.ts'

/** Judges the value of one key of a configuration. */
type Judge = (value: Json, ask: Describers) => Finding | Promise<Finding>
type Keys = ReadonlyMap<string, Judge>

const changed = writes('changes a setting')

/** A setting whose value, whatever it is, can be changed back. */
const setting: Judge = () => changed

/** An object of known keys. A key that is not known may mean anything. */
function object(keys: Keys, whenNull: Finding): Judge {
  return async (value, ask) => {
    if (value === null) return whenNull
    if (!isObject(value)) return unknown('holds a configuration of another shape')
    const findings: Finding[] = []
    for (const [key, inner] of Object.entries(value)) {
      const judge = keys.get(key)
      findings.push(
        judge === undefined ? unknown('holds a key of the configuration that is not known here') : await judge(inner, ask),
      )
    }
    return worst(changed, findings)
  }
}

/** A map from ids or names to entries that are judged alike; null takes an entry away. */
function map(entry: Judge, whenNull: Finding): Judge {
  return async (value, ask) => {
    if (value === null) return whenNull
    if (!isObject(value)) return unknown('holds a configuration of another shape')
    const findings: Finding[] = []
    for (const inner of Object.values(value)) findings.push(inner === null ? whenNull : await entry(inner, ask))
    return worst(changed, findings)
  }
}

function settings(names: string): [string, Judge][] {
  return names.split(' ').map((name) => [name, setting])
}

/** A flag that does nothing as long as it is plainly false. */
function flag(whenSet: Finding): Judge {
  return (value) => (value === false || value === null ? changed : whenSet)
}

const replicas: Judge = (value) =>
  value === null || (typeof value === 'number' && value > 0) ? changed : disrupts('leaves no replica running')
const regions = map(
  object(new Map<string, Judge>([['numReplicas', replicas], ...settings('region')]), changed),
  disrupts('takes the replicas of a region away'),
)
const source: Judge = (value) =>
  isGone(value) ? removes('disconnects a service from its source') : writes('deploys from another source')

/** Null, or an object that says nothing but null. */
function isGone(value: Json): boolean {
  if (!isObject(value)) return value === null
  const held = Object.values(value)
  return held.length > 0 && held.every((inner) => inner === null)
}
const registry: Judge = (value) => (value === null ? changed : escalates('sets the credential of a registry'))

const deploy: [string, Judge][] = [
  ['startCommand', judgeCommand],
  ['preDeployCommand', judgeCommand],
  ['numReplicas', replicas],
  ['multiRegionConfig', regions],
  ['limitOverride', () => disrupts('changes what a service may use')],
  ['registryCredentials', registry],
  ...settings(
    `cronSchedule drainingSeconds healthcheckPath healthcheckTimeout ipv6EgressEnabled overlapSeconds region requiredMountPath restartPolicyMaxRetries restartPolicyType runtime sleepApplication useLegacyStacker`,
  ),
]
const planSettings = 'aptPkgs cacheDirectories dependsOn name nixLibs nixOverlays nixPkgs nixpkgsArchive onlyIncludeFiles paths'
/** A plan of Nixpacks says what is run to build and to start: commands by other names. */
const plan = object(
  new Map<string, Judge>([
    ['phases', map(object(new Map<string, Judge>([['cmds', judgeCommand], ...settings(planSettings)]), changed), changed)],
    ['start', object(new Map<string, Judge>([['cmd', judgeCommand], ...settings('onlyIncludeFiles runImage user')]), changed)],
    ['variables', (value) => judgeVariables(value)],
    ...settings('buildImage providers'),
  ]),
  changed,
)
const build: [string, Judge][] = [
  ['buildCommand', judgeCommand],
  ['nixpacksPlan', plan],
  ...settings(
    'buildEnvironment builder dockerfilePath nixpacksConfigPath nixpacksVersion railpackVersion rootDirectory watchPatterns',
  ),
]
const domains = map(setting, removes('takes a domain away'))
const variables: Judge = (value) => (value === null ? destroys('deletes variables') : judgeVariables(value))

const networking = object(
  new Map<string, Judge>([
    ['serviceDomains', domains],
    ['customDomains', domains],
    ['tcpProxies', map(() => escalates('opens a port to the outside'), removes('closes a port'))],
    ['privateNetworkEndpoint', (value) => (value === null ? disrupts('takes a private address away') : changed)],
  ]),
  disrupts('takes all addresses of a service away'),
)

const service = object(
  new Map<string, Judge>([
    ['isDeleted', flag(destroys('deletes a service'))],
    ['source', source],
    ['build', object(new Map(build), changed)],
    ['deploy', object(new Map(deploy), changed)],
    ['networking', networking],
    ['variables', variables],
    ['volumeMounts', map(setting, disrupts('unmounts a volume'))],
    ...settings('isCreated configFile groupId icon name'),
  ]),
  destroys('removes a service'),
)

function store(what: string): Judge {
  return object(
    new Map<string, Judge>([
      ['isDeleted', flag(destroys(`deletes a ${what}`))],
      ['region', (value) => (value === null ? changed : disrupts(`moves a ${what} to another region`))],
      ...settings('isCreated mountPath name sizeMB'),
    ]),
    destroys(`removes a ${what}`),
  )
}

const group = object(
  new Map<string, Judge>([
    ['isDeleted', flag(removes('deletes a group'))],
    ...settings('color icon isCollapsed isCreated name parentGroupId'),
  ]),
  removes('deletes a group'),
)

const environment = object(
  new Map<string, Judge>([
    ['services', map(service, destroys('removes a service'))],
    ['volumes', map(store('volume'), destroys('removes a volume'))],
    ['buckets', map(store('bucket'), destroys('removes a bucket'))],
    ['groups', map(group, removes('deletes a group'))],
    ['sharedVariables', variables],
    ['privateNetworkDisabled', flag(disrupts('turns the private network off'))],
  ]),
  unknown('gives no configuration, so that something given before may be meant'),
)

/** What committing or staging this change of an environment's configuration would do. */
export async function judgePatch(patch: Json | undefined, ask: Describers): Promise<Finding> {
  return environment(patch ?? null, ask)
}

const instance = object(
  new Map<string, Judge>([...deploy, ...build, ['source', source], ...settings('railwayConfigFile')]),
  changed,
)

/** What an update of a service in an environment would do. */
export async function judgeInstance(input: Json | undefined, ask: Describers): Promise<Finding> {
  return instance(input ?? null, ask)
}
