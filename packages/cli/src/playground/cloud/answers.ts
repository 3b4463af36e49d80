import { randomUUID } from 'node:crypto'
import { GraphQLError } from 'graphql'
import { databaseNames, type DatabaseName } from '../server.ts'
import { newWorkflowId, readAccount, readVolumes, writeAccount, type Account } from './account.ts'
import { deleteVolume, measureMegabytes, nameOf } from './volume.ts'

/** What the provider says the volume may hold. */
const volumeMegabytes = 5_000
const mountPath = '/var/lib/postgresql/data'
const entriesMax = 1_000

const iso = (ms: number): string => new Date(ms).toISOString()

interface Connection<Node> {
  readonly edges: readonly { readonly cursor: string; readonly node: Node }[]
  readonly pageInfo: { readonly hasNextPage: false; readonly hasPreviousPage: false }
}

function connect<Node extends { readonly id: string }>(nodes: readonly Node[]): Connection<Node> {
  return { edges: nodes.map((node) => ({ cursor: node.id, node })), pageInfo: { hasNextPage: false, hasPreviousPage: false } }
}

/** As the real one words it, whether a thing never was or is not yours. */
function notFound(what: string): GraphQLError {
  return new GraphQLError(`${what} not found`, { extensions: { code: 'NOT_FOUND' } })
}

/** The root value that GraphQL fields are answered from. State is read at each request: other processes change it too. */
export function makeAnswers(stateDirectory: string, nowMs: () => number): Record<string, unknown> {
  const view = (): View => new View(stateDirectory, readAccount(stateDirectory))
  const change = (work: (account: Account) => Account): void => writeAccount(stateDirectory, work(readAccount(stateDirectory)))
  return {
    me: () => ({ ...view().user(), projects: () => connect([view().project()]) }),
    projects: () => connect([view().project()]),
    project: ({ id }: { id: string }) => view().projectBy(id),
    environments: ({ projectId }: { projectId: string }) => view().projectBy(projectId).environments(),
    environment: ({ id }: { id: string }) => view().environmentBy(id),
    service: ({ id }: { id: string }) => view().serviceBy(id),
    domains: (given: { environmentId: string; serviceId: string }) => ({
      customDomains: view().domainsOf(given.environmentId, given.serviceId),
      serviceDomains: [],
    }),
    customDomain: ({ id }: { id: string }) => view().domainBy(id),
    variables: (given: { environmentId: string; serviceId?: string | null }) =>
      view().variablesOf(given.environmentId, given.serviceId ?? null),
    volumeInstance: ({ id }: { id: string }) => view().instanceBy(id),
    volumeInstanceBackupList: ({ volumeInstanceId }: { volumeInstanceId: string }) => view().backupsOf(volumeInstanceId),
    ...domainChanges(view, change, nowMs),
    deploymentRestart: ({ id }: { id: string }) => view().hasDeployment(id),
    variableUpsert: ({ input }: { input: { environmentId: string; serviceId?: string | null; name: string; value: string } }) => {
      const { environmentId, name, value } = input
      const serviceId = input.serviceId ?? null
      view().environmentBy(environmentId)
      const isSame = (one: Account['variables'][number]): boolean =>
        one.environmentId === environmentId && one.serviceId === serviceId && one.name === name
      change((account) => {
        const variables = [...account.variables.filter((one) => !isSame(one)), { environmentId, serviceId, name, value }]
        return { ...account, variables: withinLimit(variables) }
      })
      return true
    },
    volumeDelete: async ({ volumeId }: { volumeId: string }) => {
      if (await deleteVolume(stateDirectory, volumeId)) return true
      throw notFound('Volume')
    },
    volumeUpdate: ({ volumeId, input }: { volumeId: string; input: { name?: string | null } }) => {
      view().volumeBy(volumeId)
      const name = input.name
      if (name) change((account) => ({ ...account, volumeNames: { ...account.volumeNames, [volumeId]: name.slice(0, 200) } }))
      return view().volumeBy(volumeId)
    },
    volumeInstanceBackupCreate: ({ volumeInstanceId, name }: { volumeInstanceId: string; name?: string | null }) => {
      const { volumeId } = view().instanceBy(volumeInstanceId)
      const backup = { id: randomUUID(), volume: volumeId, name: name ?? 'Manual', createdAtMs: nowMs() }
      change((account) => ({ ...account, backups: withinLimit([...account.backups, backup]) }))
      return { workflowId: newWorkflowId() }
    },
  }
}

function domainChanges(
  view: () => View,
  change: (work: (account: Account) => Account) => void,
  nowMs: () => number,
): Record<string, unknown> {
  return {
    customDomainCreate: ({ input }: { input: Omit<Account['domains'][number], 'id' | 'createdAtMs'> }) => {
      view().environmentBy(input.environmentId)
      const { domain, environmentId, projectId, serviceId } = input
      if (view().account.domains.some((one) => one.domain === domain)) throw new GraphQLError('Domain is not available')
      const made = { id: randomUUID(), domain, environmentId, projectId, serviceId, targetPort: input.targetPort ?? null }
      const kept = { ...made, createdAtMs: nowMs() }
      change((account) => ({ ...account, domains: withinLimit([...account.domains, kept]) }))
      return view().domainBy(made.id)
    },
    customDomainDelete: ({ id }: { id: string }) => {
      view().domainBy(id)
      change((account) => ({ ...account, domains: account.domains.filter((one) => one.id !== id) }))
      return true
    },
  }
}

function withinLimit<Entry>(entries: readonly Entry[]): Entry[] {
  if (entries.length > entriesMax) throw new GraphQLError('The account holds no more of these')
  return [...entries]
}

/** One moment of the account, as the API shows it. Nested fields are functions, so that circles cost nothing. */
class View {
  readonly account: Account
  readonly #stateDirectory: string

  constructor(stateDirectory: string, account: Account) {
    this.#stateDirectory = stateDirectory
    this.account = account
  }

  user() {
    return { id: this.account.project.id, name: 'Shop Keeper', email: 'keeper@shop.example', isAdmin: false }
  }

  project() {
    const { id, name } = this.account.project
    return {
      id,
      name,
      description: null,
      createdAt: iso(this.account.createdAtMs),
      environments: () => connect(databaseNames.map((one) => this.environment(one))),
      services: () => connect(databaseNames.map((one) => this.service(one))),
      volumes: () => connect(this.volumes()),
    }
  }

  projectBy(id: string) {
    if (id !== this.account.project.id) throw notFound('Project')
    return this.project()
  }

  environment(name: DatabaseName) {
    return {
      id: this.account.environments[name],
      name,
      projectId: this.account.project.id,
      createdAt: iso(this.account.createdAtMs),
      isEphemeral: false,
      volumeInstances: (): Connection<{ readonly id: string }> =>
        connect(this.instances().filter(({ environmentId }) => environmentId === this.account.environments[name])),
    }
  }

  environmentBy(id: string) {
    const name = databaseNames.find((one) => this.account.environments[one] === id)
    if (name === undefined) throw notFound('Environment')
    return this.environment(name)
  }

  service(name: DatabaseName) {
    const { project, services, deployments, environments, createdAtMs } = this.account
    const deployment = {
      id: deployments[name],
      status: 'SUCCESS',
      environmentId: environments[name],
      projectId: project.id,
      serviceId: services[name],
      createdAt: iso(createdAtMs),
    }
    return {
      id: services[name],
      name: `postgres-${name}`,
      projectId: project.id,
      project: () => this.project(),
      createdAt: iso(createdAtMs),
      deployments: () => connect([deployment]),
    }
  }

  serviceBy(id: string) {
    const name = databaseNames.find((one) => this.account.services[one] === id)
    if (name === undefined) throw notFound('Service')
    return this.service(name)
  }

  hasDeployment(id: string): boolean {
    if (!databaseNames.some((name) => this.account.deployments[name] === id)) throw notFound('Deployment')
    return true
  }

  volumes() {
    const volumes = readVolumes(this.#stateDirectory)
    return databaseNames.flatMap((name) => {
      const volume = volumes[name]
      return volume === undefined ? [] : [this.#volume(volume.id)]
    })
  }

  #volume(id: string) {
    return {
      id,
      name: this.account.volumeNames[id] ?? 'volume',
      projectId: this.account.project.id,
      project: () => this.project(),
      createdAt: iso(this.account.createdAtMs),
      volumeInstances: (): Connection<{ readonly id: string }> =>
        connect(this.instances().filter(({ volumeId }) => volumeId === id)),
    }
  }

  volumeBy(id: string) {
    if (nameOf(readVolumes(this.#stateDirectory), id) === null) throw notFound('Volume')
    return this.#volume(id)
  }

  /** A volume has one instance an environment, and here one in all; its id is made from the volume's. */
  instances() {
    const volumes = readVolumes(this.#stateDirectory)
    return databaseNames.flatMap((name) => {
      const volume = volumes[name]
      if (volume === undefined) return []
      const { id, folder } = volume
      return [
        {
          id: instanceIdOf(id),
          volumeId: id,
          volume: () => this.#volume(id),
          environmentId: this.account.environments[name],
          environment: () => this.environment(name),
          serviceId: this.account.services[name],
          service: () => this.service(name),
          mountPath,
          sizeMB: volumeMegabytes,
          currentSizeMB: () => measureMegabytes(folder),
          region: 'playground',
          state: 'READY',
          isPendingDeletion: false,
          createdAt: iso(this.account.createdAtMs),
        },
      ]
    })
  }

  instanceBy(id: string) {
    const instance = this.instances().find((one) => one.id === id)
    if (instance === undefined) throw notFound('VolumeInstance')
    return instance
  }

  backupsOf(instanceId: string) {
    const { volumeId } = this.instanceBy(instanceId)
    return this.account.backups
      .filter(({ volume }) => volume === volumeId)
      .map(({ id, name, createdAtMs }) => ({ id, name, createdAt: iso(createdAtMs), externalId: id, usedMB: 0, referencedMB: 0 }))
  }

  domainsOf(environmentId: string, serviceId: string) {
    return this.account.domains
      .filter((one) => one.environmentId === environmentId && one.serviceId === serviceId)
      .map((one) => ({ ...one, createdAt: iso(one.createdAtMs) }))
  }

  domainBy(id: string) {
    const domain = this.account.domains.find((one) => one.id === id)
    if (domain === undefined) throw notFound('CustomDomain')
    return { ...domain, createdAt: iso(domain.createdAtMs) }
  }

  variablesOf(environmentId: string, serviceId: string | null) {
    this.environmentBy(environmentId)
    const found = this.account.variables.filter((one) => one.environmentId === environmentId && one.serviceId === serviceId)
    return Object.fromEntries(found.map(({ name, value }) => [name, value]))
  }
}

/** The last hexadecimal digit turned: another id, and always the same one. */
function instanceIdOf(volumeId: string): string {
  const last = Number.parseInt(volumeId.slice(-1), 16) ^ 1
  return `${volumeId.slice(0, -1)}${last.toString(16)}`
}
