import { createPrivateKey, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCheckpoint, isCosigned, isSignedByLog, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
import { emptyRoot, LogFormatError } from './hash.ts'
import { addSignatures, cosignNote, parseNote, signNote, verifyNote } from './note.ts'
import { formatVerifierKey, noteSigner, parseVerifierKey, parseVerifierKeys, signatureTypes, verifierKey } from './note-key.ts'

// The example of C2SP signed-note.
const exampleKey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
const exampleNote =
  'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n'
// The key pair and note that Go's sumdb/note documents; Ed25519 is deterministic, so we must write the same signature.
const goSeed = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1)
const goKey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const goText = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const goNote = `${goText}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`
// A checkpoint of a public test log with signatures by itself (one of a type we do not use) and cosignatures by public witnesses.
const publicCheckpoint = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`
const publicLogKey = 'arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f'
const publicWitnessKey = 'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2'

const logSigner = noteSigner('gate.example/log', Buffer.alloc(32, 1))
const witnessSigner = noteSigner('vault.example/witness', Buffer.alloc(32, 2), signatureTypes.cosignature)

describe('signed notes', () => {
  it('verify as the specification and Go write them', () => {
    for (const [note, key] of [
      [exampleNote, exampleKey],
      [goNote, goKey],
    ] as const) {
      const verdict = verifyNote(parseNote(note), [parseVerifierKey(key)])
      expect(verdict.verified.length).toBe(1)
      expect(verdict.failed).toEqual([])
    }
  })

  it('are written byte for byte as Go writes them', () => {
    const signer = noteSigner('PeterNeumann', goSeed)
    expect(formatVerifierKey(signer.key)).toBe(goKey)
    expect(signNote(goText, signer)).toBe(goNote)
  })

  it('verify with checkpoints and cosignatures of public logs and witnesses, and not when the size differs', () => {
    const keys = [publicLogKey, publicWitnessKey].map(parseVerifierKey)
    const { checkpoint, verdict } = openCheckpoint(publicCheckpoint, keys)
    expect(checkpoint.size).toBe(1_432_088_532)
    expect(isSignedByLog(verdict) && isCosigned(verdict)).toBe(true)
    expect(verdict.verified.map(({ timeS }) => timeS)).toEqual([null, 0x6a122120])
    const other = openCheckpoint(publicCheckpoint.replace('1432088532', '1432088533'), keys)
    expect(other.verdict.verified).toEqual([])
    expect(other.verdict.failed.length).toBe(2)
  })

  it('cosign over the message that C2SP defines', () => {
    const text = formatCheckpoint({ origin: 'gate.example/log', size: 0, root: emptyRoot() })
    const line = cosignNote(text, witnessSigner, 1_679_315_147)
    const raw = Buffer.from(line.trim().split(' ')[2] ?? '', 'base64')
    const privateKey = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, 2)]),
      format: 'der',
      type: 'pkcs8',
    })
    expect(raw.readBigUInt64BE(4)).toBe(1_679_315_147n)
    expect(raw.subarray(12)).toEqual(sign(null, Buffer.from(`cosignature/v1\ntime 1679315147\n${text}`), privateKey))
    const note = addSignatures(signNote(text, logSigner), line)
    const { verdict } = openCheckpoint(note, [logSigner.key, witnessSigner.key])
    expect(isSignedByLog(verdict) && isCosigned(verdict)).toBe(true)
    expect(addSignatures(note, line)).toBe(note)
  })

  it('do not take a log signature for a cosignature or the other way round', () => {
    const text = formatCheckpoint({ origin: 'gate.example/log', size: 0, root: emptyRoot() })
    const { verdict } = openCheckpoint(signNote(text, logSigner), [logSigner.key])
    expect(isCosigned(verdict)).toBe(false)
    expect(() => signNote(text, witnessSigner)).toThrow(LogFormatError)
    expect(() => cosignNote(text, logSigner, 1)).toThrow(LogFormatError)
    // The same 32 secret bytes under both types have different ids, so one never passes for the other.
    const twin = verifierKey('gate.example/log', signatureTypes.cosignature, logSigner.key.publicKey)
    expect(verifyNote(parseNote(signNote(text, logSigner)), [twin]).verified).toEqual([])
  })

  it('with a wrong signature under a known name and id are not believed, whatever else signed them', () => {
    const note = signNote('text\n', logSigner)
    const line = note.split('\n\n')[1] ?? ''
    const forged = line.replace(/ \S+\n$/, (encoded) => {
      const bytes = Buffer.from(encoded.trim(), 'base64')
      bytes[20] = (bytes[20] ?? 0) ^ 1
      return ` ${bytes.toString('base64')}\n`
    })
    const verdict = verifyNote(parseNote(addSignatures(note, forged)), [logSigner.key])
    expect(verdict.verified.length).toBe(1)
    expect(isSignedByLog(verdict)).toBe(false)
  })

  it.each([
    ['no signatures', 'text\n'],
    ['no blank line', 'text\n— a AAAAAAA=\n'],
    ['no final newline', exampleNote.slice(0, -1)],
    ['a carriage return', exampleNote.replace('message.', 'message.\r')],
    ['a lone surrogate', exampleNote.replace('message', '\ud800')],
    ['a hyphen for the dash', exampleNote.replace('—', '-')],
    ['base64 with stray bits', exampleNote.replace('IneyaQM=', 'IneyaQN=')],
    ['base64url', 'text\n\n— a AAAAAAA_\n'],
    ['a signature of four bytes', 'text\n\n— a AAAAAA==\n'],
    ['a name with a plus', 'text\n\n— a+b AAAAAAAA\n'],
    ['a name with a wide space', 'text\n\n— a\u3000b AAAAAAAA\n'],
    ['too many signatures', `text\n\n${'— a AAAAAAAA\n'.repeat(65)}`],
    ['too much text', `${'x'.repeat(70_000)}\n\n— a AAAAAAAA\n`],
  ])('are refused with %s', (_, note) => {
    expect(() => parseNote(note)).toThrow(LogFormatError)
  })

  it('take their last blank line as the one before the signatures', () => {
    const text = 'first\n\n— not a signature\n\nlast\n'
    expect(parseNote(signNote(text, logSigner)).text).toBe(text)
  })
})

describe('verifier keys', () => {
  it('are refused when anything in them is changed', () => {
    fc.assert(
      fc.property(fc.nat(goKey.length - 1), fc.integer({ min: 33, max: 126 }), (place, code) => {
        const changed = goKey.slice(0, place) + String.fromCharCode(code) + goKey.slice(place + 1)
        if (changed !== goKey) expect(() => parseVerifierKey(changed)).toThrow(LogFormatError)
      }),
    )
  })
  it('are read from a list with comments', () => {
    expect(parseVerifierKeys(`# the log\n${goKey}\n\n${publicWitnessKey}\n`).map((key) => key.name)).toEqual([
      'PeterNeumann',
      'remora.n621.de',
    ])
  })
})

describe('checkpoints', () => {
  it('are read as written', () => {
    const checkpoint = { origin: 'gate.example/log', size: 2 ** 53 - 1, root: emptyRoot() }
    expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint)
    expect(openCheckpoint(signCheckpoint(checkpoint, logSigner), [logSigner.key]).checkpoint).toEqual(checkpoint)
  })
  const root = emptyRoot()
  const rootText = Buffer.from(root).toString('base64')
  it.each([
    ['a leading zero', `o\n01\n${rootText}\n`],
    ['a plus sign', `o\n+1\n${rootText}\n`],
    ['a size past 2^53', `o\n9007199254740993\n${rootText}\n`],
    ['no origin', `\n1\n${rootText}\n`],
    ['a short root', 'o\n1\nAAAA\n'],
    ['two lines', 'o\n1\n'],
    ['an empty line', `o\n1\n${rootText}\n\nx\n`],
    ['no final newline', `o\n1\n${rootText}`],
  ])('are refused with %s', (_, text) => {
    expect(() => parseCheckpoint(text)).toThrow(LogFormatError)
  })
  it('may carry extension lines', () => {
    expect(parseCheckpoint(`o\n1\n${rootText}\nextension\n`).size).toBe(1)
  })
})

describe('decoders', () => {
  const declared = (decode: () => unknown): void => {
    try {
      decode()
    } catch (error) {
      expect(error).toBeInstanceOf(LogFormatError)
    }
  }
  it('throw nothing but LogFormatError', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string().map((text) => `${text}\n\n— a ${Buffer.from(text).toString('base64')}\n`),
        ),
        (text) => {
          declared(() => parseNote(text))
          declared(() => parseCheckpoint(text))
          declared(() => parseVerifierKey(text))
          declared(() => openCheckpoint(text, [logSigner.key, witnessSigner.key]))
        },
      ),
      { numRuns: 2000 },
    )
  })
  it('give false for a signature of any length by a known key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (signature) => {
        for (const signer of [logSigner, witnessSigner]) {
          const id = Buffer.alloc(4)
          id.writeUInt32BE(signer.key.id)
          const line = `— ${signer.key.name} ${Buffer.concat([id, signature]).toString('base64')}\n`
          expect(verifyNote(parseNote(`text\n\n${line}`), [signer.key]).verified).toEqual([])
        }
      }),
    )
  })
})
