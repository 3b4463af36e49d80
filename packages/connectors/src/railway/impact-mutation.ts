import type { ImpactKind } from '@sallyport/core'
import type { Finding } from './finding.ts'

interface Group {
  readonly kind: ImpactKind
  readonly reversible: boolean
  readonly why: string
  readonly names: string
}

/**
 * What each mutation does, judged by hand from what the schema says of it. Where the arguments decide, this is what it does at least;
 * judge-arguments.ts adds the rest.
 */
const groups: readonly Group[] = [
  {
    kind: 'read',
    reversible: true,
    why: 'only reports, checks or previews',
    names: 'egressGatewayHAMigrationPreview environmentPreviewChangeSet loginSessionVerify',
  },
  {
    kind: 'write',
    reversible: true,
    why: 'creates something new beside what is there',
    names: `bucketCreate cloudAgentCreate customDomainCreate customerCreateFreePlanSubscription deploymentTriggerCreate
      dockerComposeImport egressGatewayAssociationCreate enableServiceCdn environmentCreate notificationRuleCreate
      observabilityDashboardCreate pluginCreate privateNetworkCreateOrGet privateNetworkEndpointCreateOrGet
      projectCreate railwayDomainDnsRecordCreate sandboxCheckpointCreate sandboxCreate sandboxTemplateBuild
      serviceCreate serviceDomainCreate serviceDuplicate signalCreate templateClone templateDeploy templateDeployV2
      templateGenerate templateServiceSourceEject volumeCreate volumeInstanceBackupCreate volumeInstancePITRRestore`,
  },
  {
    kind: 'write',
    reversible: true,
    why: 'deploys, or lets something be deployed',
    names: `cloudAgentWake deploymentRedeploy deploymentRollback environmentTriggersDeploy environmentUnskipService
      githubRepoDeploy githubRepoUpdate serviceConnect serviceInstanceDeploy serviceInstanceDeployV2
      serviceInstanceRedeploy`,
  },
  {
    kind: 'write',
    reversible: true,
    why: 'changes a setting that can be changed back',
    names: `baseEnvironmentOverride bucketUpdate canvasViewMerge clearPitrHaWorkflowProgress 
      customDomainIssueCertificate customDomainUpdate deploymentTriggerUpdate
      egressGatewayUpgradeToHA environmentRename featureFlagAdd featureFlagRemove notificationDeliveriesMarkAsRead
      notificationRuleUpdate observabilityDashboardUpdate pluginUpdate preferencesUpdate privateNetworkEndpointRename
      projectFeatureFlagAdd projectFeatureFlagRemove projectUpdate railwayDomainDnsRecordUpdate railwayDomainUpdate
      referralInfoUpdate sandboxCheckpointRename serviceDomainUpdate serviceFeatureFlagAdd
      serviceFeatureFlagRemove serviceInstanceAutoDeployUpdate serviceInstanceUpdate serviceUpdate
      sharedVariableConfigure signalDefaultSet signalRollback signalRuleSet templateVolumeUpdate
      updateServiceEdgeConfig upsertSlackChannel userBetaLeave userFlagsRemove userFlagsSet userProfileUpdate
      volumeInstanceUpdate volumeUpdate workspaceUpdate workspaceUpsertSlackChannel`,
  },
  {
    kind: 'write',
    reversible: true,
    why: 'sets a variable by its name',
    names: 'variableCollectionUpsert variableUpsert',
  },
  {
    kind: 'write',
    reversible: true,
    why: 'keeps what would have been deleted',
    names: 'projectScheduleDeleteCancel volumeInstanceBackupLock',
  },
  {
    kind: 'write',
    reversible: true,
    why: 'changes the configuration of an environment',
    names: 'environmentApplyChangeSet environmentPatchCommit environmentStageChanges',
  },
  {
    kind: 'write',
    reversible: false,
    why: 'sends data out, which nothing calls back',
    names: 'jobApplicationCreate webhookTest',
  },
  {
    kind: 'write',
    reversible: false,
    why: 'agrees to terms, which can not be taken back',
    names: 'fairUseAgree userTermsUpdate',
  },
  {
    kind: 'write',
    reversible: true,
    why: 'reports what a program did, or keeps it alive a while longer',
    names: 'cliAuthEventTrack cliEventTrack cloudAgentStateReport sandboxHeartbeat setupAgentEventTrack',
  },
  { kind: 'write', reversible: true, why: 'uses up a code of the second factor', names: 'twoFactorInfoValidate' },
  { kind: 'write', reversible: true, why: 'changes which backups are made', names: 'volumeInstanceBackupScheduleUpdate' },
  {
    kind: 'disrupt',
    reversible: true,
    why: 'stops or restarts something, or changes what it may use; no data is lost',
    names: `cancelPitrHaWorkflow cloudAgentSleep deploymentCancel deploymentRestart deploymentStop egressGatewayRollbackFromHA
      enablePitrForHaCluster pluginRestart pluginStart serviceInstanceLimitsUpdate
      serviceInstanceVulnRemediationPatchNow setServiceUnderAttackMode`,
  },
  {
    kind: 'escalate',
    reversible: true,
    why: 'makes or shows a credential',
    names: `apiTokenCreate generateShellToken loginSessionAuth loginSessionConsume loginSessionCreate projectTokenCreate
      sshPublicKeyCreate sshSignupApprove workspaceInviteCodeCreate`,
  },
  {
    kind: 'escalate',
    reversible: false,
    why: 'destroys a credential, or replaces it by another',
    names: `apiTokenDelete bucketCredentialsReset passkeyDelete pluginResetCredentials projectTokenDelete recoveryCodeGenerate
      recoveryCodeValidate twoFactorInfoCreate twoFactorInfoDelete twoFactorInfoSecret`,
  },
  {
    kind: 'escalate',
    reversible: true,
    why: 'changes who may come in, and how',
    names: `botScopeBindingRemove emailChangeConfirm emailChangeInitiate inviteCodeUse loginSessionCancel projectInvitationAccept
      projectInvitationCreate projectInvitationDelete projectInvitationResend projectInviteUser projectMemberAdd
      projectMemberRemove projectMemberUpdate providerAuthRemove sessionDelete sshPublicKeyDelete trustedDomainCreate
      trustedDomainDelete trustedDomainRetriggerVerification trustedDomainUpdate userDiscordDisconnect
      workspaceInviteCodeUse workspacePermissionChange workspaceTwoFactorEnforcementUpdate workspaceUserInvite
      workspaceUserRemove`,
  },
  {
    kind: 'escalate',
    reversible: false,
    why: 'gives something away that only others can give back',
    names: `projectClaim projectLeave projectTransfer projectTransferConfirm projectTransferInitiate projectTransferToTeam
      workspaceLeave`,
  },
  {
    kind: 'escalate',
    reversible: true,
    why: 'changes what may be spent or paid out',
    names: 'agentUsageLimitSet customerTogglePayoutsToCredits usageLimitRemove usageLimitSet',
  },
  {
    kind: 'escalate',
    reversible: true,
    why: 'changes what signs in elsewhere',
    names: 'integrationCreate integrationUpdate',
  },
  {
    kind: 'escalate',
    reversible: true,
    why: 'opens something to the outside, or weakens what protects it, people included',
    names: `deploymentApprove disablePitrForHaCluster railwayDomainNameserversSet serviceInstanceVulnRemediationDismiss
      tcpProxyCreate templatePublish workspacePolicyDeploySourceAllowlistAdd
      workspacePolicyDeploySourceAllowlistRemove workspacePolicyItemUpdate`,
  },
  { kind: 'escalate', reversible: false, why: 'replaces all rules of the edge by others', names: 'updateServiceEdgeRules' },
  {
    kind: 'escalate',
    reversible: false,
    why: 'brings secrets in, over variables that it does not name',
    names: 'herokuImportVariables',
  },
  { kind: 'escalate', reversible: false, why: 'runs code', names: 'deploymentInstanceExecutionCreate sandboxExec' },
  {
    kind: 'destroy',
    reversible: true,
    why: 'removes something that can be made again from what is left',
    names: `customDomainDelete deploymentRemove deploymentTriggerDelete disableServiceCdn integrationDelete notificationRuleDelete
      privateNetworkEndpointDelete privateNetworksForEnvironmentDelete purgeServiceCache railwayDomainDnsRecordDelete
      serviceDisconnect serviceRemoveUpstreamUrl signalRuleUnset tcpProxyDelete templateUnpublish`,
  },
  { kind: 'destroy', reversible: true, why: 'deletes a project after 48 hours', names: 'projectScheduleDelete' },
  {
    kind: 'destroy',
    reversible: false,
    why: 'gives up addresses, members or settings that are kept nowhere else',
    names: 'egressGatewayAssociationsClear observabilityDashboardReset serviceDomainDelete templateRevert',
  },
  {
    kind: 'destroy',
    reversible: false,
    why: 'deletes data, or the only copy of something, for good',
    names: `cloudAgentDelete environmentDelete pluginDelete pluginReset projectDelete projectScheduleDeleteForce
      sandboxCheckpointDelete sandboxDestroy serviceDelete signalDelete templateDelete userDelete variableDelete
      volumeDelete volumeInstanceBackupDelete workspaceDelete`,
  },
  { kind: 'destroy', reversible: false, why: 'overwrites live data with a backup', names: 'volumeInstanceBackupRestore' },
  { kind: 'destroy', reversible: false, why: 'clears all rules and replaces the value', names: 'signalReplace' },
  {
    kind: 'unknown',
    reversible: false,
    why: 'commits what was staged before, which this request does not show',
    names: 'environmentPatchCommitStaged',
  },
]

/** Every mutation of the schema. */
export const mutationImpacts: ReadonlyMap<string, Finding> = new Map(
  groups.flatMap(({ kind, reversible, why, names }) =>
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, { kind, reversible, why }] as const),
  ),
)
