import * as z from 'zod/mini'
import { post, saidShape } from './api.ts'

const toBytes = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
const toText = (buffer: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')

const optionsShape = z.object({
  publicKey: z.looseObject({
    challenge: z.string(),
    rpId: z.optional(z.string()),
    timeout: z.optional(z.number()),
    allowCredentials: z.optional(z.array(z.object({ id: z.string() }))),
  }),
})

/** Asks for a challenge, has it signed, and hands the signature over. The sentence the gate answers. */
export async function signWithPasskey(options: string, finish: string): Promise<string> {
  const { publicKey } = await post(options, {}, optionsShape)
  const { challenge, rpId, timeout, allowCredentials } = publicKey
  const made = await navigator.credentials.get({
    publicKey: {
      challenge: toBytes(challenge),
      userVerification: 'required',
      ...(rpId === undefined ? {} : { rpId }),
      ...(timeout === undefined ? {} : { timeout }),
      allowCredentials: (allowCredentials ?? []).map(({ id }) => ({ type: 'public-key', id: toBytes(id) })),
    },
  })
  if (!(made instanceof PublicKeyCredential) || !(made.response instanceof AuthenticatorAssertionResponse))
    throw new Error('The passkey gave no signature. Nothing was done.')
  const { clientDataJSON, authenticatorData, signature, userHandle } = made.response
  const response = {
    clientDataJSON: toText(clientDataJSON),
    authenticatorData: toText(authenticatorData),
    signature: toText(signature),
    ...(userHandle === null ? {} : { userHandle: toText(userHandle) }),
  }
  const said = await post(finish, { response: { id: made.id, rawId: toText(made.rawId), type: made.type, response } }, saidShape)
  return said.message ?? 'Done.'
}

/** A passkey's own errors, in words. */
export function explainPasskey(error: unknown): string | null {
  return error instanceof DOMException && error.name === 'NotAllowedError'
    ? 'The passkey was not used: cancelled, timed out, or none fits. Nothing was done.'
    : null
}
