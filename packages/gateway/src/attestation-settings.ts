import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { SallyportError } from '@sallyport/core'
import { z } from 'zod'

/** Which models of passkeys may be enrolled, and who vouches that one is what it says. */

const model = z
  .string()
  .toLowerCase()
  .regex(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/, 'a model is its AAGUID, such as ee882879-721c-4913-9775-3dfcce97072a')
  .refine((id) => /[1-9a-f]/.test(id), 'an AAGUID of zeros is nobody’s model')

export const attestationSchema = z.strictObject({
  models: z.array(model, { error: 'models is a list of AAGUIDs' }).min(1).max(500),
  /** PEM file of the makers' certificates: without them any program could say that it is such a model. */
  authorities: z.string().min(1),
})
export type AttestationConfig = z.infer<typeof attestationSchema>

export const acceptedAttestationShape = z.object({ models: z.array(z.string()), authorities: z.string() })
type Accepted = z.infer<typeof acceptedAttestationShape>

/** What is let in that was not before. */
export function findAttestationWidenings(before: Accepted | undefined, after: Accepted | undefined): readonly string[] {
  if (before === undefined) return []
  if (after === undefined) return ['people: passkeys of every model are let in']
  const more = after.models.filter((one) => !before.models.includes(one))
  return [
    ...(more.length > 0 ? [`people: passkeys of more models are let in: ${more.slice(0, 5).join(', ')}`] : []),
    ...(after.authorities === before.authorities ? [] : ['people: others vouch for the models of passkeys']),
  ]
}

const certificate = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/** The models, and PEM of their makers' certificates, one each. @throws SallyportError for a file that cannot be read, or has no certificate in it */
export function resolveAttestation(
  config: AttestationConfig | null,
  directory: string,
): { readonly models: ReadonlySet<string>; readonly authorities: readonly string[] } | null {
  if (config === null) return null
  const authorities = readAuthorities(resolve(directory, config.authorities))
  if (authorities.length === 0)
    throw new SallyportError(
      'internal',
      'people.attestation: no certificate can be read from the file of authorities.',
      'The gate did not start: it could not tell one passkey’s model from another’s.',
      'Put the makers’ root certificates there, in PEM; each maker publishes theirs.',
    )
  return { models: new Set(config.models), authorities }
}

function readAuthorities(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').match(certificate) ?? []
  } catch {
    return []
  }
}
