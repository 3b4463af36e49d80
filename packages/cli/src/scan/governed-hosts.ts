import { existsSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { resolveReference } from '../reference.ts'

/** Which upstream of a configuration a host belongs to. */
export type GovernedHosts = ReadonlyMap<string, string>

const documentShape = z.object({ upstreams: z.record(z.string(), z.unknown()) })
const httpShape = z.object({ protocol: z.literal('http'), hosts: z.array(z.string()) })
const depthMax = 6

/**
 * Hosts that a configuration governs: those that http upstreams list, and those of the database URLs that the others' references lead to. Of a URL
 * only the host is kept; a token is not looked at, since one with dots in it would look like a host. A reference that runs a command is left
 * alone: looking shall run nothing.
 */
export async function readGovernedHosts(configuration: string): Promise<GovernedHosts> {
  if (!existsSync(configuration)) return new Map()
  const document = parseDocument(readFileSync(configuration, 'utf8'), { prettyErrors: false })
  const read = documentShape.safeParse(document.errors.length > 0 ? null : document.toJS({ maxAliasCount: 0 }))
  if (!read.success) return new Map()
  const hosts = new Map<string, string>()
  for (const [name, upstream] of Object.entries(read.data.upstreams)) {
    const http = httpShape.safeParse(upstream)
    for (const text of http.success ? http.data.hosts : textsWithin(upstream, 0)) {
      const host = hostOf(await readText(text, dirname(configuration)))
      if (host !== null) hosts.set(host, name)
    }
  }
  return hosts
}

async function readText(text: string, folder: string): Promise<string> {
  if (!text.startsWith('file:') && !text.startsWith('env:')) return text
  return resolveReference(text, folder).catch(() => '')
}

function textsWithin(value: unknown, depth: number): readonly string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null || depth > depthMax) return []
  return Object.values(value).flatMap((inner) => textsWithin(inner, depth + 1))
}

function hostOf(text: string): string | null {
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(text)) return text.toLowerCase()
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return null
  const { hostname } = new URL(text)
  return hostname === '' ? null : hostname.replace(/^\[|\]$/g, '').toLowerCase()
}

/** The upstream that governs one of these hosts, or a host above it (`db.example.com` is governed where `example.com` is). */
export function governedBy(governed: GovernedHosts, hosts: readonly string[]): string | null {
  for (const host of hosts) {
    for (const [known, upstream] of governed) {
      if (host === known || host.endsWith(`.${known}`) || known.endsWith(`.${host}`)) return upstream
    }
  }
  return null
}
