import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Config } from './config.ts'
import type { DeliverConfig } from './deliver-config.ts'
import { resolveReference } from './reference.ts'

interface AnyReceiver {
  readonly name: string
  readonly events: Exclude<DeliverConfig['events'], undefined> | null
  readonly authorities: string | null
}

/** A receiver with its address and credentials, in memory only. */
export type ReceiverSecrets = AnyReceiver &
  (
    | { readonly kind: 'webhook'; readonly url: string; readonly secret: string }
    | { readonly kind: 'otlp'; readonly url: string; readonly header: string | null; readonly signal: 'logs' | 'traces' }
    | { readonly kind: 'ntfy'; readonly url: string; readonly token: string | null }
    | {
        readonly kind: 'slack'
        readonly token: string
        readonly appToken: string | null
        readonly channel: string
        readonly api: string
      }
    | { readonly kind: 'mail'; readonly url: string; readonly from: string; readonly to: readonly string[] }
    | { readonly kind: 'syslog'; readonly url: string }
  )

/** @throws SallyportError for a reference that resolves to nothing; Error for a file of authorities that can't be read */
export function resolveReceivers({ deliver, directory }: Config): Promise<readonly ReceiverSecrets[]> {
  return Promise.all(Object.entries(deliver).map(async ([name, one]) => resolveReceiver(name, one, directory)))
}

async function resolveReceiver(name: string, one: DeliverConfig, directory: string): Promise<ReceiverSecrets> {
  const authorities = one.authorities === undefined ? null : readFileSync(resolve(directory, one.authorities), 'utf8')
  const any = { name, events: one.events ?? null, authorities }
  const read = (reference: string): Promise<string> => resolveReference(reference, directory)
  const readMaybe = async (reference: string | undefined): Promise<string | null> =>
    reference === undefined ? null : read(reference)
  if ('webhook' in one) return { ...any, kind: 'webhook', url: await read(one.webhook), secret: await read(one.secret) }
  if ('otlp' in one)
    return { ...any, kind: 'otlp', url: await read(one.otlp), header: await readMaybe(one.header), signal: one.signal ?? 'logs' }
  if ('syslog' in one) return { ...any, kind: 'syslog', url: await read(one.syslog) }
  if ('ntfy' in one) return { ...any, kind: 'ntfy', url: await read(one.ntfy), token: await readMaybe(one.token) }
  if ('slack' in one) {
    const { channel, api } = one
    return { ...any, kind: 'slack', token: await read(one.slack), appToken: await readMaybe(one.app), channel, api }
  }
  return { ...any, kind: 'mail', url: await read(one.mail), from: one.from, to: one.to }
}
