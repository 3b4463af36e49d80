import { getRequestListener } from '@hono/node-server'
import { createFirstLink } from './api-routes.ts'
import { createControlApp } from './app.ts'
import { listenOnLoopback } from './listener.ts'
import type { ControlPorts, ControlSettings } from './ports.ts'
import { postureNow } from './site.ts'

export type * from './code-ports.ts'
export type * from './overview.ts'
export type * from './policy-ports.ts'
export type * from './ports.ts'

/** The people's listener, up. */
export interface ControlListener {
  /** `http://localhost:PORT`, the one origin that passkeys belong to. */
  readonly url: string
  readonly port: number
  readonly addresses: readonly string[]
  /** The one-time link for the first person, to be shown on the terminal only. Null when somebody is enrolled. */
  firstEnrolmentLink(): Promise<{ readonly url: string; readonly expiresAtMs: number } | null>
  /** What is wrong with the posture for the people who are enrolled now, a sentence each. */
  warnings(): Promise<readonly string[]>
  close(): Promise<void>
}

/** Starts the people's pages and the command line's API on every loopback address, or not at all. */
export async function startControl(ports: ControlPorts, settings: ControlSettings): Promise<ControlListener> {
  // The origin is part of every check and holds the port, which is known only once it is ours.
  const ready = Promise.withResolvers<ReturnType<typeof getRequestListener>>()
  const servers = await listenOnLoopback(settings.port, (incoming, outgoing) => {
    void ready.promise.then((listener) => listener(incoming, outgoing))
  })
  const { app, site } = createControlApp(ports, { ...settings, port: servers.port })
  ready.resolve(getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  return {
    url: site.origin,
    port: servers.port,
    addresses: servers.addresses,
    async firstEnrolmentLink() {
      return (await ports.people.list()).length > 0 ? null : createFirstLink(site)
    },
    warnings: async () => (await postureNow(ports)).warnings,
    close: () => servers.close(),
  }
}
