import { readStrings } from './json-text.ts'

/** A text, and the name it stands under where it has one. */
export interface NamedText {
  readonly key: string
  readonly text: string
  /** It is a piece of a text that was given before: only its name says anything new. */
  readonly isPiece: boolean
}

/** Texts inside texts (variables that hold JSON, base64 of a header) that are looked into. */
const nestingMax = 3
/** Nothing shorter holds a token. */
export const charactersMin = 8

/** A text and every text in it: strings of JSON, and what base64 opens to. Each level is no longer than the one around it. */
export function* readTexts(text: string, key = '', nesting = nestingMax): Generator<NamedText, void> {
  yield { key, text, isPiece: false }
  if (nesting === 0 || text.length < charactersMin) return
  if (text.includes('"')) {
    for (const found of readStrings(text)) {
      if (found.value.length < charactersMin) continue
      if (!found.plain) yield* readTexts(found.value, found.key, nesting - 1)
      else if (found.key !== '') yield { key: found.key, text: found.value, isPiece: true }
    }
  }
  for (const opened of openBase64(text)) yield* readTexts(opened, key, nesting - 1)
}

/** Both alphabets, with the line breaks of MIME; 24 characters open to 18, and no token is shorter. */
const base64Run = /(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{24,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*/g
/** Base64 of text without a digit, capital or sign is rare enough, and a path of plain words is no base64. */
const worthOpening = /[0-9A-Z+_]/

function* openBase64(text: string): Generator<string, void> {
  for (const [run] of text.matchAll(base64Run)) {
    if (!worthOpening.test(run)) continue
    const opened = Buffer.from(run, 'base64').toString('latin1').replaceAll('\0', '')
    if (opened.length >= charactersMin) yield opened
  }
}

/** Twice, since what is decoded twice on the way is found twice-encoded here. What is no percent-encoding stays as it is. */
export function decodePercent(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  const once = decodeOnce(text.replaceAll('+', ' '))
  return once.includes('%') ? decodeOnce(once) : once
}

function decodeOnce(text: string): string {
  return text.replaceAll(/%([0-9a-fA-F]{2})/g, (_whole, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
