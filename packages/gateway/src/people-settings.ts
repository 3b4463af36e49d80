import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { attestationSchema } from './attestation-settings.ts'
import { duration, reference } from './config-value.ts'
import { resolveReference } from './reference.ts'

/** Who vouches for people besides their passkeys. */

const claim = z.string().regex(/^[A-Za-z0-9_.:/-]{1,128}$/, 'the name of a claim')
const text = z.string().min(1).max(256)

const oidc = z.strictObject({
  issuer: z.url({ protocol: /^https$/, error: 'an issuer is an https URL' }).max(512),
  clientId: text,
  clientSecret: reference,
  scopes: z
    .array(z.string().regex(/^[\x21-\x7e]{1,128}$/))
    .max(20)
    .default(['openid', 'profile', 'email']),
  name: z.strictObject({ claim, people: z.record(text, text).exactOptional() }).prefault({ claim: 'name' }),
  groups: z
    .strictObject({
      claim,
      names: z.record(text, text).exactOptional(),
      /** What the provider said of groups counts for this long. */
      for: duration.prefault('12h'),
    })
    .exactOptional(),
  authorities: z.string().min(1).exactOptional(),
})
export type OidcConfig = z.infer<typeof oidc>

/** Names alone, as it was written before there was anything to say of them; or where people sign in. */
export const peopleSchema = z.preprocess(
  (given) => (Array.isArray(given) ? { names: given } : given),
  z
    .strictObject({
      names: z.array(z.string()).default([]),
      oidc: oidc.exactOptional(),
      attestation: attestationSchema.exactOptional(),
    })
    .prefault({}),
)

/** A provider with its secret, in memory only. */
export interface ProviderSecrets {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scopes: readonly string[]
  readonly name: { readonly claim: string; readonly people: { readonly [value: string]: string } | null }
  readonly groups: { readonly claim: string; readonly names: { readonly [group: string]: string } | null } | null
  readonly authorities: string | null
}

/** @throws SallyportError for a reference that resolves to nothing; Error for a file of authorities that can't be read */
export async function resolveOidc(config: OidcConfig, directory: string): Promise<ProviderSecrets> {
  const { issuer, clientId, clientSecret, scopes, name, groups, authorities } = config
  return {
    issuer,
    clientId,
    clientSecret: await resolveReference(clientSecret, directory),
    scopes: scopes.includes('openid') ? scopes : ['openid', ...scopes],
    name: { claim: name.claim, people: name.people ?? null },
    groups: groups === undefined ? null : { claim: groups.claim, names: groups.names ?? null },
    authorities: authorities === undefined ? null : readFileSync(resolve(directory, authorities), 'utf8'),
  }
}
