import { createHash } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import { openCodeSeal } from '../access/code-seal.ts'
import type { Codes } from '../control/index.ts'
import { resolveReference } from '../reference.ts'
import { codeRuleOf } from '../totp-settings.ts'
import type { Foundations } from './foundations.ts'

const keyLengthMin = 32

interface CodesFrom {
  readonly config: Pick<Foundations['config'], 'totp' | 'directory'>
  readonly folder: Pick<Foundations['folder'], 'saltKey'>
}

/** Null: one-time codes approve nothing. @throws SallyportError for a key that cannot be had, or could be guessed */
export async function bindCodes({ config, folder }: CodesFrom): Promise<Codes | null> {
  const { totp, directory } = config
  const rule = codeRuleOf(totp)
  if (totp === null || rule === null) return null
  // A gate that is alone seals under its own key, in a file that only its user reads; gates that share a store under one that is not in it.
  if (totp.key === undefined) return { rule, ...openCodeSeal(folder.saltKey) }
  const key = await resolveReference(totp.key, directory)
  if (key.length < keyLengthMin)
    throw new SallyportError(
      'internal',
      `What totp.key refers to has fewer than ${keyLengthMin} characters.`,
      'The gate did not start: the secrets of one-time codes could be opened by guessing.',
      'Put a random one there, such as `openssl rand -hex 32` prints.',
    )
  return { rule, ...openCodeSeal(createHash('sha256').update(key).digest()) }
}
