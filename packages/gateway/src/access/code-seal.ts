import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { canonicalJson, foldPerson } from '@sallyport/core'

/** Whose secret it is: sealed with it, so that what was sealed for one person opens for nobody else. */
export interface SealedFor {
  readonly person: string
  readonly id: string
}

export interface CodeSeal {
  seal(about: SealedFor, secret: Uint8Array): string
  open(about: SealedFor, sealed: string): Uint8Array | null
}

const algorithm = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16
const version = 'v1.'

/** Seals secrets of one-time codes under a key of their own, derived from `key`: the store holds what it cannot read. */
export function openCodeSeal(key: Uint8Array): CodeSeal {
  const derived = Buffer.from(hkdfSync('sha256', key, '', 'sallyport one-time codes v1', 32))
  return {
    seal: (about, secret) => {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, derived, nonce).setAAD(bytesOf(about))
      const sealed = Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()])
      return `${version}${sealed.toString('base64')}`
    },
    open: (about, sealed) => {
      const bytes = Buffer.from(sealed.slice(version.length), 'base64')
      if (!sealed.startsWith(version) || bytes.length <= nonceBytes + tagBytes) return null
      const opened = createDecipheriv(algorithm, derived, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
        .setAAD(bytesOf(about))
        .setAuthTag(bytes.subarray(-tagBytes))
      try {
        return Buffer.concat([opened.update(bytes.subarray(nonceBytes, -tagBytes)), opened.final()])
      } catch {
        return null
      }
    },
  }
}

function bytesOf({ person, id }: SealedFor): Buffer {
  return Buffer.from(canonicalJson({ person: foldPerson(person), id }))
}
