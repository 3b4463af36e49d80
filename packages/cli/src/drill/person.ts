import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'

/** What a person's browser got for an answer. */
export interface Answered {
  readonly status: number
  readonly body: unknown
}

/** A passkey in software. Its counter is given, since one that signs twice at once must not be ahead of itself. */
export interface PersonPasskey {
  /** @param challenge base64url, as in the options */
  register(challenge: string): object
  assert(challenge: string, how: { readonly counter: number }): object
}

type Verdict = 'approve' | 'reject'

const optionsShape = z.object({ publicKey: z.object({ challenge: z.string() }) })
const invitationShape = z.object({ result: z.url() })
/** How long a live view may take to show something. */
const followTimeoutMs = 15_000

/** A person with a browser in a few lines, over real HTTP: keeps cookies, reads the pages' token and marks, posts as our own pages do. */
export class VirtualPerson<Passkey extends PersonPasskey = PersonPasskey> {
  readonly name: string
  readonly passkey: Passkey
  readonly #origin: string
  readonly #cookies = new Map<string, string>()
  #csrf = ''

  /** @param origin the address of the people's pages; it must stay the same over restarts of the gate */
  constructor(name: string, origin: string, passkey: Passkey) {
    this.name = name
    this.#origin = origin
    this.passkey = passkey
  }

  /** Enrols by a one-time link. */
  async enrol(link: string): Promise<void> {
    const token = new URL(link).hash.slice(1)
    await this.read('/enrol')
    const challenge = challengeIn(await this.post('/enrol/options', { token, name: this.name }))
    expectOk(await this.post('/enrol', { token, name: this.name, response: this.passkey.register(challenge) }))
    await this.read('/requests')
  }

  /** Signs in again: after a restart of the gate, or in a browser that forgot its cookies. */
  async signIn(): Promise<void> {
    this.#cookies.clear()
    await this.read('/sign-in')
    const challenge = challengeIn(await this.post('/sign-in/options', { next: '/requests' }))
    expectOk(await this.post('/sign-in', { next: '/requests', response: this.sign(challenge) }))
    await this.read('/requests')
  }

  /** Invites another person; the link. */
  async invite(): Promise<string> {
    const challenge = challengeIn(await this.post('/people/invitations/options', {}))
    const made = await this.post('/people/invitations', { response: this.sign(challenge) })
    return invitationShape.parse(expectOk(made)).result
  }

  /** Opens the request's page, signs what it shows, and hands the signature over. */
  async give(requestId: string, verdict: Verdict, reason = ''): Promise<Answered> {
    const asked = await this.ask(requestId, verdict, { reason })
    if (asked.status !== 200) return asked
    return this.answer(requestId, verdict, this.sign(challengeIn(asked)), reason)
  }

  /** As `give`, and throws unless the verdict was recorded. */
  async approve(requestId: string): Promise<void> {
    expectOk(await this.give(requestId, 'approve'))
  }

  /** What the request's page would have signed for this verdict, hex. Empty when it asks for none. */
  async shownFor(requestId: string, verdict: Verdict): Promise<string> {
    const page = await this.read(`/requests/${requestId}`)
    return new RegExp(`value="${verdict}" data-challenge="([0-9a-f]{64})"`).exec(page)?.[1] ?? ''
  }

  /** The first half of a verdict: asks for the challenge that the page shows, or that it is said to have shown. */
  async ask(
    requestId: string,
    verdict: Verdict,
    { reason = '', shown }: { readonly reason?: string; readonly shown?: string } = {},
  ): Promise<Answered> {
    const seen = await this.shownFor(requestId, verdict)
    return this.post(`/requests/${requestId}/challenge`, { verdict, reason, shown: shown ?? seen })
  }

  /** The second half: hands over a signature, whatever it is over. */
  answer(requestId: string, verdict: Verdict, response: unknown, reason = ''): Promise<Answered> {
    return this.post(`/requests/${requestId}/verdict`, { verdict, reason, response })
  }

  /** Signs any challenge, base64url, whatever it is over: an attacker needs that too. Its counter stays at 0, as a synced passkey's does. */
  sign(challenge: string): object {
    return this.passkey.assert(challenge, { counter: 0 })
  }

  /** Stops what is approved and has not run. */
  cancel(requestId: string): Promise<Answered> {
    return this.post(`/requests/${requestId}/cancel`, {})
  }

  /** Releases a kill by passkey. */
  async release(killId: string): Promise<Answered> {
    await this.read('/live')
    const asked = await this.post(`/kills/${killId}/challenge`, {})
    if (asked.status !== 200) return asked
    return this.post(`/kills/${killId}/release`, { response: this.sign(challengeIn(asked)) })
  }

  async post(path: string, body: unknown): Promise<Answered> {
    const response = await this.#send(path, {
      method: 'POST',
      headers: {
        origin: this.#origin,
        'sec-fetch-site': 'same-origin',
        'content-type': 'application/json',
        'x-csrf-token': this.#csrf,
      },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: parseJson(await response.text()) }
  }

  /** The text of a page. */
  async read(path: string): Promise<string> {
    const response = await this.#send(path, { headers: { accept: 'text/html' } })
    const page = await response.text()
    this.#csrf = /data-csrf="([0-9a-f]+)"/.exec(page)?.[1] ?? this.#csrf
    return page
  }

  /** Watches the live view's stream until it shows what is looked for. False: it did not in time. */
  async follow(path: string, isThere: (text: string) => boolean): Promise<boolean> {
    const response = await this.#send(path, { signal: AbortSignal.timeout(followTimeoutMs) })
    const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader()
    if (reader === undefined) return false
    const decoder = new TextDecoder()
    let text = ''
    try {
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        text += decoder.decode(step.value, { stream: true })
        if (isThere(text)) return true
      }
      return false
    } catch {
      return false
    } finally {
      await reader.cancel().catch(() => undefined)
    }
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('cookie', [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    const response = await fetch(new URL(path, this.#origin), { ...init, headers, redirect: 'manual' })
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = ''] = cookie.split(';')
      const at = pair.indexOf('=')
      this.#cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
    return response
  }
}

/** The challenge, base64url, of an answer that asks for a signature. Throws with what was answered instead. */
export function challengeIn(answered: Answered): string {
  return optionsShape.parse(expectOk(answered)).publicKey.challenge
}

function expectOk(answered: Answered): unknown {
  if (answered.status === 200) return answered.body
  throw new CommandFailure(
    exitCodes.failed,
    'drill_failed',
    `The people's listener answered ${answered.status}: ${JSON.stringify(answered.body).slice(0, 300)}`,
    'What was to be done on its pages was not done.',
    'This is a defect of the gate, or of whoever plays the person.',
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text.slice(0, 300)
  }
}
