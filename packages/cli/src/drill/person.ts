import { challengeOf, type AccessRequest } from '@sallyport/core'
import { z } from 'zod'
import { CommandFailure, exitCodes } from '../failure.ts'
import { DrillAuthenticator, type AssertionAnswer } from './authenticator.ts'

/** What a person's browser got for an answer. */
export interface Answered {
  readonly status: number
  readonly body: unknown
}

const optionsShape = z.object({ publicKey: z.object({ challenge: z.string(), user: z.object({ id: z.string() }).optional() }) })
const invitationShape = z.object({ result: z.url() })

/** A person of a drill, with a browser in a few lines: keeps cookies, reads the page's token, posts as our own pages do. */
export class VirtualPerson {
  readonly name: string
  readonly #origin: string
  readonly #authenticator: DrillAuthenticator
  readonly #cookies = new Map<string, string>()
  #csrf = ''

  constructor(name: string, origin: string) {
    this.name = name
    this.#origin = origin
    this.#authenticator = new DrillAuthenticator(origin, 'localhost')
  }

  /** Enrols by a one-time link. */
  async enrol(link: string): Promise<void> {
    const token = new URL(link).hash.slice(1)
    await this.#open('/enrol')
    const { publicKey } = optionsShape.parse(expectOk(await this.post('/enrol/options', { token, name: this.name })))
    const response = trim(this.#authenticator.register(publicKey.challenge, publicKey.user?.id ?? ''))
    expectOk(await this.post('/enrol', { token, name: this.name, response }))
    await this.#open('/requests')
  }

  /** Invites another person; the link. */
  async invite(): Promise<string> {
    const { publicKey } = optionsShape.parse(expectOk(await this.post('/people/invitations/options', {})))
    return invitationShape.parse(expectOk(await this.post('/people/invitations', { response: this.sign(publicKey.challenge) })))
      .result
  }

  /** Reads the request's page, then gives a verdict on it. */
  async give(request: AccessRequest, verdict: 'approve' | 'reject'): Promise<Answered> {
    const asked = await this.ask(request, verdict)
    if (asked.status !== 200) return asked
    return this.answer(request.id, verdict, this.sign(optionsShape.parse(asked.body).publicKey.challenge))
  }

  async ask(request: AccessRequest, verdict: 'approve' | 'reject'): Promise<Answered> {
    await this.#open(`/requests/${request.id}`)
    return this.post(`/requests/${request.id}/challenge`, { verdict, reason: '', shown: challengeOf(request, verdict) })
  }

  answer(requestId: string, verdict: 'approve' | 'reject', response: unknown): Promise<Answered> {
    return this.post(`/requests/${requestId}/verdict`, { verdict, reason: 'drill', response })
  }

  /** Signs a challenge, base64url, whatever it is over: an attacker's drill needs that too. */
  sign(challenge: string): unknown {
    return trim(this.#authenticator.assert(challenge))
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
    return this.#open(path)
  }

  async #open(path: string): Promise<string> {
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

/** Without what the people's listener does not want to hear. */
function trim(answer: AssertionAnswer | ReturnType<DrillAuthenticator['register']>): unknown {
  const { id, rawId, type, response } = answer
  return { id, rawId, type, response }
}

function expectOk(answered: Answered): unknown {
  if (answered.status === 200) return answered.body
  throw new CommandFailure(
    exitCodes.failed,
    'drill_failed',
    `The people's listener answered ${answered.status}: ${JSON.stringify(answered.body).slice(0, 300)}`,
    'The drill did not go on.',
    'This is a defect of the gate, or of the drill.',
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text.slice(0, 300)
  }
}
