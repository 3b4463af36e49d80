import { z } from 'zod'

/**
 * Where copies lie and who can recover them. The gate only checks the form, and that nobody weakened it behind the operator's back: the vault
 * gets it from whoever starts both, and the gate never sees the buckets' credential.
 */
export const vaultPlaceSchema = z.strictObject({
  /** Every copy goes to each of them, and to the vault's folder as well where `folder` says so. None: the folder alone. */
  buckets: z
    .array(
      z
        .string()
        .regex(
          /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[^?#\s]*)?(\?[^#\s]*)?$/,
          'a bucket is written like s3://BUCKET/PREFIX?region=REGION',
        ),
    )
    .max(4)
    .default([]),
  credential: z
    .string()
    .regex(/^file:.+/, 'the buckets’ credential is a file: reference')
    .exactOptional(),
  folder: z.boolean().default(false),
  recovery: z
    .array(
      z
        .string()
        .regex(/^age1[a-z0-9]{20,2000}$/, 'a recovery recipient is written like age1…: sallyport vault recovery-pair makes one'),
    )
    .max(16)
    .default([]),
  quota: z
    .string()
    .regex(/^\d{1,6}(MiB|GiB|TiB)$/, 'a quota is written like 500GiB')
    .exactOptional(),
})
export type VaultPlace = z.infer<typeof vaultPlaceSchema>

/** What of a vault's place can only become more without being asked for. */
export interface AcceptedVaultPlace {
  readonly places: readonly string[]
  readonly recovery: readonly string[]
}

export function acceptedPlaceOf({ buckets, folder, recovery }: VaultPlace): AcceptedVaultPlace {
  return { places: [...buckets, ...(folder || buckets.length === 0 ? ['the folder'] : [])], recovery }
}

/** A line for each place that copies no longer go to, and each recipient who may read them now, or no longer. */
export function findPlaceWidenings(before: AcceptedVaultPlace, after: AcceptedVaultPlace): readonly string[] {
  return [
    ...before.places.filter((place) => !after.places.includes(place)).map((place) => `vault: copies no longer go to ${place}`),
    ...after.recovery.filter((one) => !before.recovery.includes(one)).map((one) => `vault: ${one} can read every copy`),
    ...before.recovery.filter((one) => !after.recovery.includes(one)).map((one) => `vault: ${one} no longer recovers copies`),
  ]
}
