import { codeKinds, impactKinds, isCodeKind, type CodeKind, type CodeRule } from '@sallyport/core'
import { z } from 'zod'
import type { ConfigMistake, FindPlace } from './config-mistake.ts'
import { reference } from './config-value.ts'

/** What a one-time code (RFC 6238) may approve, as sallyport.yaml says it. Nothing, unless it is named here. */

const kinds = z.array(z.string().max(64), { error: 'a list of impacts, such as [write, disrupt]' }).max(20)
const environment = z.enum(['production', 'staging', 'development'], {
  error: 'environments are production, staging, development',
})

export const totpSchema = z.strictObject({
  /** Impacts of which one person's code is enough where one person is asked. */
  approves: kinds.min(1, 'name what a code approves, or leave totp out'),
  in: z.array(environment, { error: 'in is a list of environments: nothing is meant that is not named' }).min(1),
  /** Impacts of which a code counts as one of several people. */
  beside: kinds.default([]),
  /** What the secrets are sealed under, where gates share a store. */
  key: reference.exactOptional(),
})
export type TotpConfig = z.infer<typeof totpSchema>

/** Whoever wants more than an impact that a code may approve reads here why it is not given. */
export function checkTotp(
  { totp, store }: { readonly totp: TotpConfig | null; readonly store: string | null },
  place: FindPlace,
): readonly ConfigMistake[] {
  if (totp === null) return []
  const refused = (['approves', 'beside'] as const).flatMap((list) =>
    totp[list].flatMap((kind, index) => (isCodeKind(kind) ? [] : [{ ...place(['totp', list, index]), ...sayNever(kind) }])),
  )
  const idle = totp.beside.flatMap((kind, index) =>
    totp.approves.includes(kind)
      ? []
      : [
          {
            ...place(['totp', 'beside', index]),
            what: `a code is to stand beside a passkey for "${kind}", and approves none of it`,
            hint: 'add it to totp.approves, or leave it out here',
          },
        ],
  )
  const keyless =
    store !== null && totp.key === undefined
      ? [
          {
            ...place(['totp']),
            what: 'gates that share a store need a key that is not in it, to seal the secrets of codes',
            hint: 'say totp.key: a reference (file:, env: or exec:) to at least 32 random characters, the same for every gate',
          },
        ]
      : []
  return [...refused, ...idle, ...keyless]
}

function sayNever(kind: string): Pick<ConfigMistake, 'what' | 'hint'> {
  const isImpact = impactKinds.some((one) => one === kind)
  return {
    what: isImpact ? `a code never approves "${kind}"` : `"${kind}" is not asked by impact, and no code ever approves it`,
    hint: `a code is bound to no operation, so it approves ${codeKinds.join(', ')} at most, where they are reversible; all else takes a passkey`,
  }
}

/** Null: off. */
export function codeRuleOf(totp: TotpConfig | null): CodeRule | null {
  if (totp === null) return null
  const only = (kinds: readonly string[]): readonly CodeKind[] => codeKinds.filter((kind) => kinds.includes(kind))
  return { approves: only(totp.approves), environments: totp.in, beside: only(totp.beside) }
}

export const acceptedTotpShape = z.object({
  approves: z.array(z.string()),
  in: z.array(z.string()),
  beside: z.array(z.string()),
  key: z.string().exactOptional(),
})
type Accepted = z.infer<typeof acceptedTotpShape>

/** What a code approves that it did not before. */
export function findTotpWidenings(before: Accepted | undefined, after: Accepted | undefined): readonly string[] {
  if (after === undefined) return []
  const { approves = [], in: environments = [], beside = [] } = before ?? {}
  const more = (known: readonly string[], now: readonly string[]): string => now.filter((one) => !known.includes(one)).join(', ')
  const [kinds, places, several] = [more(approves, after.approves), more(environments, after.in), more(beside, after.beside)]
  return [
    ...(kinds === '' ? [] : [`totp: a one-time code approves ${kinds}`]),
    ...(places === '' ? [] : [`totp: a one-time code approves in ${places}`]),
    ...(several === '' ? [] : [`totp: a one-time code counts as one of several people for ${several}`]),
    ...(before === undefined || before.key === after.key ? [] : ['totp: secrets of codes are sealed under another key']),
  ]
}
