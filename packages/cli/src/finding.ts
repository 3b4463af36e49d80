/** One thing `doctor` looked at. */
export interface Finding {
  readonly about: string
  readonly verdict: 'good' | 'note' | 'bad'
  readonly what: string
  readonly mend: string | null
}

export function good(about: string, what: string): Finding {
  return { about, verdict: 'good', what, mend: null }
}
export function note(about: string, what: string, mend: string | null): Finding {
  return { about, verdict: 'note', what, mend }
}
export function bad(about: string, what: string, mend: string): Finding {
  return { about, verdict: 'bad', what, mend }
}
