import type { Json } from '@sallyport/core'
import { escalates, type Finding } from './finding.ts'

/** Fields whose answer is a secret, or JSON that is known to carry one. */
const secretFields: ReadonlyMap<string, string> = new Map([
  ['BucketS3CompatibleCredentials.accessKeyId', "a bucket's access key"],
  ['BucketS3CompatibleCredentials.secretAccessKey', "a bucket's access key"],
  ['DeploymentSnapshot.variables', 'the values of variables'],
  ['Integration.config', 'what an integration signs in with'],
  ['InviteCode.code', 'a code that lets its holder into a project'],
  ['NotificationChannel.config', 'addresses that whoever knows them may post to'],
  ['ProviderAuth.metadata', 'what a login provider handed out'],
  ['RecoveryCodes.recoveryCodes', 'recovery codes'],
  ['TwoFactorInfoSecret.secret', 'a second factor'],
  ['TwoFactorInfoSecret.uri', 'a second factor'],
])

/** Fields that show variables' values only when asked to decrypt them. */
const sealedFields: ReadonlySet<string> = new Set(['Environment.config', 'EnvironmentPatch.patch'])

export const secretFieldNames: readonly string[] = [...secretFields.keys(), ...sealedFields]

/** What a selected field would give away. */
export function findSecret(type: string, name: string, given: ReadonlyMap<string, Json>): Finding | null {
  const path = `${type}.${name}`
  const secret = secretFields.get(path)
  if (secret !== undefined) return escalates(`shows ${secret} (${path})`)
  if (!sealedFields.has(path)) return null
  const decrypt = given.get('decryptVariables') ?? false
  return decrypt === false ? null : escalates(`shows the values of variables (${path})`)
}
