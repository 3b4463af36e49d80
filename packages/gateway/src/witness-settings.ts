import { z } from 'zod'

/** Witnesses beside the vault's, and how many cosignatures of all are wanted. */
export const witnessesSchema = z
  .strictObject({
    needed: z.int('a whole number').min(1).max(16).default(1),
    by: z
      .array(
        z.strictObject({
          url: z.url('the submission prefix of a witness (C2SP tlog-witness)'),
          key: z.string().regex(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/, 'a verifier key is name+id+base64'),
        }),
      )
      .max(15)
      .default([]),
  })
  .refine(
    ({ needed, by }) => needed <= by.length + 1,
    'more cosignatures are needed than there are witnesses, the vault included',
  )
export type WitnessesConfig = z.infer<typeof witnessesSchema>

/** Fewer eyes on the log than before. */
export function findWitnessWidenings(before: WitnessesConfig, after: WitnessesConfig): readonly string[] {
  const gone = before.by.filter(({ key }) => !after.by.some((one) => one.key === key))
  return [
    ...gone.map(({ key }) => `witnesses: ${key.split('+')[0] ?? ''} is asked no longer`),
    ...(after.needed < before.needed ? [`witnesses: ${after.needed} cosignatures are enough, not ${before.needed}`] : []),
  ]
}
