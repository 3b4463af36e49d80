import { z } from 'zod'
import { SoftwarePasskey } from './passkey.ts'

/** What a person's browser got for an answer. */
export interface HttpAnswer {
  readonly status: number
  readonly body: unknown
}

const optionsShape = z.object({ publicKey: z.object({ challenge: z.string() }) })
const invitationShape = z.object({ result: z.url() })

/** A person with a software passkey and a browser in a few lines, over real HTTP: keeps cookies, posts as our own pages do. */
export class HttpPerson {
  readonly name: string
  readonly passkey: SoftwarePasskey
  readonly #origin: string
  readonly #cookies = new Map<string, string>()
  #csrf = ''

  /** @param origin the address of the people's pages; it must stay the same over restarts of the gate */
  constructor(name: string, origin: string) {
    this.name = name
    this.#origin = origin
    this.passkey = new SoftwarePasskey(origin)
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
  async give(requestId: string, verdict: 'approve' | 'reject', reason = ''): Promise<HttpAnswer> {
    const asked = await this.ask(requestId, verdict, reason)
    if (asked.status !== 200) return asked
    return this.answer(requestId, verdict, this.sign(challengeIn(asked)), reason)
  }

  /** As `give`, and throws unless the verdict was recorded. */
  async approve(requestId: string): Promise<void> {
    expectOk(await this.give(requestId, 'approve'))
  }

  /** The first half: asks for the challenge that the page shows. */
  async ask(requestId: string, verdict: 'approve' | 'reject', reason = ''): Promise<HttpAnswer> {
    const page = await this.read(`/requests/${requestId}`)
    const shown = new RegExp(`value="${verdict}" data-challenge="([0-9a-f]{64})"`).exec(page)?.[1] ?? ''
    return this.post(`/requests/${requestId}/challenge`, { verdict, reason, shown })
  }

  /** The second half: hands over a signature, whatever it is over. */
  answer(requestId: string, verdict: 'approve' | 'reject', response: unknown, reason = ''): Promise<HttpAnswer> {
    return this.post(`/requests/${requestId}/verdict`, { verdict, reason, response })
  }

  /** A signature over any challenge. Its counter stays at 0, as a synced passkey's does: two may be on their way at once. */
  sign(challenge: string): object {
    return this.passkey.assert(challenge, { counter: 0 })
  }

  /** Releases a kill by passkey. */
  async release(killId: string): Promise<HttpAnswer> {
    await this.read('/live')
    const asked = await this.post(`/kills/${killId}/challenge`, {})
    if (asked.status !== 200) return asked
    return this.post(`/kills/${killId}/release`, { response: this.sign(challengeIn(asked)) })
  }

  async post(path: string, body: unknown): Promise<HttpAnswer> {
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
export function challengeIn(answer: HttpAnswer): string {
  return optionsShape.parse(expectOk(answer)).publicKey.challenge
}

function expectOk(answer: HttpAnswer): unknown {
  if (answer.status === 200) return answer.body
  throw new Error(`the people's listener answered ${answer.status}: ${JSON.stringify(answer.body).slice(0, 300)}`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text.slice(0, 300)
  }
}
