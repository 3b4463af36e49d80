import { escalates, type Finding } from './finding.ts'
import type { RootType } from './schema.ts'

const read: Finding = { kind: 'read', reversible: true, why: 'reads' }
const values = escalates('shows the values of variables')

/** Queries whose every answer is a secret. What others may show deep in their answer is in secret-field.ts. */
const secretQueries: ReadonlyMap<string, Finding> = new Map([
  ['bucketS3Credentials', escalates("shows a bucket's access keys")],
  ['projectInviteCode', escalates('shows a code that lets its holder into a project')],
  ['variables', values],
  ['variablesForServiceDeployment', values],
])

/** Every other query of the schema: a read, and nothing but. */
const plainQueries = `
adminVolumeInstancesForVolume agentUsage allPlatformFeatureFlags apiToken apiTokens auditLog auditLogEventTypeInfo auditLogs
botScopeBindings bucketInstanceDetails buildLogs canvasViewMergePreview changelogBlockImage cloudAgent cloudAgentConsoleSessions
cloudAgents complianceAgreements customDomain customDomainAvailable deployment deploymentEvents deploymentInstanceExecutions
deploymentLogs deploymentSessions deploymentSnapshot deploymentTriggers deployments dnsQueryLogs domainStatus domains
egressGatewayHAPreview egressGatewayLegacyPreview egressGateways environment environmentChangeSetApply
environmentHasLegacyStaticEgress environmentLogs environmentPatch environmentPatches environmentStagedChanges environments
estimatedUsage events externalWorkspaces functionRuntime functionRuntimes gitHubRepoAccessAvailable gitHubSshKeys
githubIsRepoNameAvailable githubPRInfo githubPRInfoResult githubRepo githubRepoBranches githubRepos githubWritableScopes herokuApps
httpDurationMetrics httpLogs httpMetrics httpMetricsGroupedByStatus integrationAuth integrationAuths integrations inviteCode me metrics
myCloudAgents networkFlowLogs notificationDeliveries notificationDelivery notificationRules observabilityDashboards passkeys
pitrHaClusterReplicationHealth pitrHaWorkflowProgress platformStatus plugin pluginLogs preferences privateNetworkEndpoint
privateNetworkEndpointNameAvailable privateNetworks project projectCompliance projectInvitation projectInvitations projectMembers
projectResourceAccess projectServiceUsage projectToken projectTokens projectWorkspaceMembers projects projectsByIds publicStats
railwayDomain railwayDomainByName railwayDomainDnsRecords railwayDomains referralInfo regions resourceAccess sandbox
sandboxCheckpoints sandboxSessions sandboxTemplateBuild sandboxes service serviceDomainAvailable serviceInstance
serviceInstanceAutoDeployStatus serviceInstanceIsUpdatable serviceInstanceLimitOverride serviceInstanceLimits sessions signal
signalChanges signalEvaluate signals sshPublicKeys sshSignupInfo tcpProxies team teamTemplates template templateMetrics
templateSearch templateSourceForProject templates templatesCount trustedDomains twoFactorInfo usage userKickbackEarnings userProfile
userTemplates validateServiceEdgeRules vercelInfo volumeInstance volumeInstanceBackupList volumeInstanceBackupScheduleList
workflowStatus workspace workspaceByCode workspaceIdentityProviders workspacePolicy workspacePolicySelectableDeploySources
workspaceTemplates
`

/** Streams of what queries show too. */
const plainSubscriptions = `
buildLogs deployment deploymentEvents deploymentInstanceExecutions deploymentLogs dnsQueryLogs environmentLogs environmentStagedPatch
httpLogs networkFlowLogs notificationDeliveryUpdated pluginLogs replicationProgress
`

function reads(names: string): ReadonlyMap<string, Finding> {
  return new Map(
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, read]),
  )
}

export const queryImpacts: ReadonlyMap<string, Finding> = new Map([...reads(plainQueries), ...secretQueries])
export const subscriptionImpacts: ReadonlyMap<string, Finding> = reads(plainSubscriptions)

/** GraphQL's own fields, which no table of the API lists. */
const ownFields: ReadonlySet<string> = new Set(['__typename', '__schema', '__type'])

export function findOwn(name: string): Finding | undefined {
  return ownFields.has(name) ? { ...read, why: 'reads the schema' } : undefined
}

export function findReading(root: RootType, name: string): Finding | undefined {
  if (root === 'Query') return queryImpacts.get(name)
  return root === 'Subscription' ? subscriptionImpacts.get(name) : undefined
}
