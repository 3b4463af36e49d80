import { buildSchema, type GraphQLSchema } from 'graphql'

/**
 * The part of Railway's public API that the playground plays, with its names, arguments and types. Everything else is answered as an unknown
 * field, the way the real one does it.
 */
const connection = (owner: string, node: string): string => `
type ${owner}Connection { edges: [${owner}ConnectionEdge!]! pageInfo: PageInfo! }
type ${owner}ConnectionEdge { cursor: String! node: ${node}! }`

const page = 'after: String, before: String, first: Int, last: Int'

const text = `
scalar DateTime
scalar EnvironmentVariables

type Query {
  me: User!
  project(id: String!): Project!
  projects(${page}, includeDeleted: Boolean, userId: String, workspaceId: String): QueryProjectsConnection!
  environment(id: String!, projectId: String): Environment!
  environments(${page}, isEphemeral: Boolean, projectId: String!): QueryEnvironmentsConnection!
  service(id: String!): Service!
  domains(environmentId: String!, projectId: String!, serviceId: String!): AllDomains!
  customDomain(id: String!, projectId: String!): CustomDomain!
  variables(environmentId: String!, projectId: String!, serviceId: String, unrendered: Boolean): EnvironmentVariables!
  volumeInstance(id: String!): VolumeInstance!
  volumeInstanceBackupList(volumeInstanceId: String!): [VolumeInstanceBackup!]!
}

type Mutation {
  customDomainCreate(input: CustomDomainCreateInput!): CustomDomain!
  customDomainDelete(id: String!): Boolean!
  deploymentRestart(id: String!): Boolean!
  variableUpsert(input: VariableUpsertInput!): Boolean!
  volumeDelete(volumeId: String!): Boolean!
  volumeInstanceBackupCreate(name: String, volumeInstanceId: String!): WorkflowId!
  volumeUpdate(input: VolumeUpdateInput!, volumeId: String!): Volume!
}

type PageInfo { endCursor: String hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String }
type User { id: ID! name: String email: String! isAdmin: Boolean! projects(${page}): UserProjectsConnection! }
type Project {
  id: ID! name: String! description: String createdAt: DateTime!
  environments(${page}): ProjectEnvironmentsConnection!
  services(${page}): ProjectServicesConnection!
  volumes(${page}): ProjectVolumesConnection!
}
type Environment {
  id: ID! name: String! projectId: String! createdAt: DateTime! isEphemeral: Boolean!
  volumeInstances(${page}): EnvironmentVolumeInstancesConnection!
}
type Service { id: ID! name: String! projectId: String! project: Project! createdAt: DateTime! deployments(${page}): ServiceDeploymentsConnection! }
type Deployment {
  id: ID! status: DeploymentStatus! environmentId: String! projectId: String! serviceId: String createdAt: DateTime!
}
enum DeploymentStatus { SUCCESS REMOVED }
type Volume {
  id: ID! name: String! projectId: String! project: Project! createdAt: DateTime!
  volumeInstances(${page}): VolumeVolumeInstancesConnection!
}
type VolumeInstance {
  id: ID! volumeId: String! volume: Volume! environmentId: String! environment: Environment! serviceId: String service: Service!
  mountPath: String! sizeMB: Int! currentSizeMB: Float! region: String state: VolumeState isPendingDeletion: Boolean! createdAt: DateTime!
}
enum VolumeState { READY DELETING DELETED }
type VolumeInstanceBackup { id: String! name: String createdAt: DateTime! externalId: String! usedMB: Int referencedMB: Int expiresAt: DateTime }
type WorkflowId { workflowId: String }
type AllDomains { customDomains: [CustomDomain!]! serviceDomains: [ServiceDomain!]! }
type ServiceDomain { id: ID! domain: String! environmentId: String! serviceId: String! }
type CustomDomain {
  id: ID! domain: String! environmentId: String! projectId: String serviceId: String! targetPort: Int createdAt: DateTime
}

input CustomDomainCreateInput { domain: String! environmentId: String! projectId: String! serviceId: String! targetPort: Int }
input VariableUpsertInput {
  environmentId: String! projectId: String! serviceId: String name: String! value: String! skipDeploys: Boolean = false
}
input VolumeUpdateInput { name: String }
${connection('QueryProjects', 'Project')}
${connection('QueryEnvironments', 'Environment')}
${connection('UserProjects', 'Project')}
${connection('ProjectEnvironments', 'Environment')}
${connection('ProjectServices', 'Service')}
${connection('ProjectVolumes', 'Volume')}
${connection('EnvironmentVolumeInstances', 'VolumeInstance')}
${connection('VolumeVolumeInstances', 'VolumeInstance')}
${connection('ServiceDeployments', 'Deployment')}
`

export function makeSchema(): GraphQLSchema {
  return buildSchema(text)
}
