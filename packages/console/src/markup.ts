import { html, raw } from 'hono/html'

/** Markup whose text was escaped. Only `markup` makes it, from templates in our own source. */
export type Markup = Exclude<ReturnType<typeof html>, Promise<unknown>>

/** What a template may hold. Objects are left out on purpose: a JSON value of an agent's must be turned into text first. */
export type Piece = string | number | Markup | null | false | readonly Piece[]

/** Text that must not be escaped: the style sheet, whose `>` and quotes would break. A constant of our own source, never anything else. */
export function ownSource(text: string): Markup {
  return raw(text)
}

/** A template of HTML; every text put in is escaped. */
export function markup(strings: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  const result = html(strings, ...values)
  if (result instanceof Promise) throw new TypeError('a page is made of ready text only')
  return result
}
