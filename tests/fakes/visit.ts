import type { AccessRequest, Conditions } from '@sallyport/core'
import { challengeOf, sha256Hex } from '@sallyport/core'
import { createControlApp } from '../../packages/gateway/src/control/app.ts'
import { createFirstLink } from '../../packages/gateway/src/control/api-routes.ts'
import { type Misdeeds, SoftwarePasskey } from './passkey.ts'
import { operatorTokenSha256, type PeopleBench } from './people.ts'

export const port = 7443
export const origin = `http://localhost:${port}`

/** The people's listener without sockets. */
export function makeSite(bench: PeopleBench): ReturnType<typeof createControlApp> {
  return createControlApp(bench.ports, { port, operatorTokenSha256 })
}

export interface Said {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly text: string
  readonly headers: Headers
}

/** A browser in a few lines: keeps cookies, reads the CSRF token off a page, posts as our own scripts do. */
export class Visit {
  readonly cookies = new Map<string, string>()
  readonly passkey = new SoftwarePasskey(origin)
  csrf = ''
  readonly #site: ReturnType<typeof createControlApp>

  constructor(site: ReturnType<typeof createControlApp>) {
    this.#site = site
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Said> {
    const said = await this.#send(path, { headers: { accept: 'text/html', ...headers } })
    this.csrf = /data-csrf="([0-9a-f]+)"/.exec(said.text)?.[1] ?? this.csrf
    return said
  }

  post(path: string, content: unknown, headers: Record<string, string | null> = {}): Promise<Said> {
    const usual = { origin, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json', 'x-csrf-token': this.csrf }
    const sent = Object.entries({ ...usual, ...headers }).flatMap(([name, value]) =>
      value === null ? [] : [[name, value] as const],
    )
    return this.#send(path, {
      method: 'POST',
      headers: Object.fromEntries(sent),
      body: typeof content === 'string' ? content : JSON.stringify(content),
    })
  }

  /** Opens the verdict page, asks for the challenge, signs it. */
  async verdict(
    request: AccessRequest,
    verdict: 'approve' | 'reject',
    misdeeds: Misdeeds = {},
    conditions?: Conditions,
  ): Promise<Said> {
    const asked = await this.challenge(request, verdict, conditions)
    if (asked.status !== 200) return asked
    return this.post(`/requests/${request.id}/verdict`, {
      verdict,
      reason: '',
      ...(conditions === undefined ? {} : { conditions }),
      response: this.passkey.assert(challengeIn(asked), misdeeds),
    })
  }

  async challenge(request: AccessRequest, verdict: 'approve' | 'reject', conditions?: Conditions): Promise<Said> {
    await this.get(`/requests/${request.id}`)
    const shown = challengeOf(request, verdict)
    return this.post(`/requests/${request.id}/challenge`, { verdict, reason: '', shown, ...(conditions && { conditions }) })
  }

  async enrol(url: string, name: string, misdeeds: Misdeeds = {}): Promise<Said> {
    const token = new URL(url).hash.slice(1)
    await this.get('/enrol')
    const asked = await this.post('/enrol/options', { token, name })
    if (asked.status !== 200) return asked
    const said = await this.post('/enrol', { token, name, response: this.passkey.register(challengeIn(asked), misdeeds) })
    await this.get('/requests')
    return said
  }

  async signIn(misdeeds: Misdeeds = {}, next = '/requests'): Promise<Said> {
    await this.get('/sign-in')
    const asked = await this.post('/sign-in/options', { next })
    const said = await this.post('/sign-in', { next, response: this.passkey.assert(challengeIn(asked), misdeeds) })
    await this.get('/requests')
    return said
  }

  async #send(
    path: string,
    init: { readonly method?: string; readonly headers: Record<string, string>; readonly body?: string },
  ): Promise<Said> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await this.#site.app.request(`${origin}${path}`, {
      ...init,
      headers: { host: `localhost:${port}`, ...(cookie === '' ? {} : { cookie }), ...init.headers },
    })
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name === undefined || value === undefined) continue
      if (value === '') this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    const text = await answer.text()
    return { status: answer.status, text, body: parseObject(text), headers: answer.headers }
  }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
  } catch {
    return {}
  }
}

/** The challenge that an options answer asks to be signed. */
export function challengeIn(said: Said): string {
  const { publicKey } = said.body
  if (typeof publicKey === 'object' && publicKey !== null && 'challenge' in publicKey) return String(publicKey.challenge)
  throw new Error(`no challenge in ${said.status} ${said.text.slice(0, 200)}`)
}

/** A site with one person enrolled and signed in. */
export async function makeSignedIn(
  bench: PeopleBench,
  name = 'ada',
): Promise<{ site: ReturnType<typeof createControlApp>; visit: Visit }> {
  const site = makeSite(bench)
  const visit = new Visit(site)
  const said = await visit.enrol((await createFirstLink(site.site)).url, name)
  if (said.status !== 200) throw new Error(`not enrolled: ${said.text}`)
  return { site, visit }
}

/** Makes an invitation; the link. */
export async function invite(inviter: Visit): Promise<string> {
  await inviter.get('/people')
  const asked = await inviter.post('/people/invitations/options', {})
  const made = await inviter.post('/people/invitations', { response: inviter.passkey.assert(challengeIn(asked)) })
  return String(made.body['result'])
}

/** The id under which the People page shows the invitation that a link belongs to. */
export function invitationOf(link: string): string {
  return sha256Hex(new URL(link).hash.slice(1))
}

/** Confirms somebody's invitation, or is refused. */
export async function confirmInvitation(confirmer: Visit, link: string): Promise<Said> {
  const path = `/people/invitations/${invitationOf(link)}/confirm`
  await confirmer.get('/people')
  const asked = await confirmer.post(`${path}/options`, {})
  if (asked.status !== 200) return asked
  return confirmer.post(path, { response: confirmer.passkey.assert(challengeIn(asked)) })
}

/** Invites and enrols another person. In team mode, from the third on, somebody has to confirm. */
export async function enrolAnother(
  site: ReturnType<typeof createControlApp>,
  inviter: Visit,
  name: string,
  confirmer: Visit | null = null,
): Promise<Visit> {
  const link = await invite(inviter)
  if (confirmer !== null) await confirmInvitation(confirmer, link)
  const visit = new Visit(site)
  const said = await visit.enrol(link, name)
  if (said.status !== 200) throw new Error(`not enrolled: ${said.text}`)
  return visit
}
