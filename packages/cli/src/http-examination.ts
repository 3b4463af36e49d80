import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isMap, isSeq } from 'yaml'
import { namesUnder, protocolOf, type ConfigurationFile } from './configuration-file.ts'
import { toFailure } from './failure.ts'
import { bad, good, note, type Finding } from './finding.ts'
import { resolveReference } from './reference.ts'
import { isToken } from './upstream-credential.ts'

/** An http upstream as far as it can be judged without a request: its credential is for the gate to use, and nothing is sent anywhere. */
export async function examineHttpUpstream(file: ConfigurationFile, name: string, use: string): Promise<readonly Finding[]> {
  const folder = dirname(file.path)
  return [
    await examineToken(name, use, folder),
    ...examineAuthorities(file, name, folder),
    ...examineTies(file, name),
    ...examineWayAround(file, name),
  ]
}

async function examineToken(name: string, use: string, folder: string): Promise<Finding> {
  try {
    const token = await resolveReference(use, folder)
    if (isToken(token)) return good(name, `The token of ${name} can be read. It was not tried: nothing was sent to the provider.`)
    return bad(name, `What ${name} takes its token from does not hold one.`, 'One line, at least 8 visible characters, no blanks')
  } catch (error) {
    const failure = toFailure(error)
    return bad(name, `${name}: ${failure.message}`, failure.next)
  }
}

function examineAuthorities(file: ConfigurationFile, name: string, folder: string): readonly Finding[] {
  const path: unknown = file.document.getIn(['upstreams', name, 'authorities'])
  if (typeof path !== 'string' || existsSync(resolve(folder, path))) return []
  return [bad(name, `The certificates that ${name} is to be checked with are not there: ${path}.`, 'Put them there, as PEM.')]
}

function examineTies(file: ConfigurationFile, name: string): readonly Finding[] {
  const tied: unknown = file.document.getIn(['upstreams', name, 'tied'], true)
  const kinds = isMap(tied) ? tied.items.map(({ value }) => value).filter((value) => isMap(value)) : []
  const databases = namesUnder(file, 'upstreams').filter((one) => protocolOf(file, one) === 'postgres')
  const ties = kinds.flatMap(({ items }) => items.map(({ key, value }) => ({ thing: String(key), upstream: String(value) })))
  if (ties.length === 0) {
    const what = `Nothing of ${name} is tied to the database that lies on it: what destroys there has no copy, and is refused.`
    return [note(name, what, 'tied: { volume: { VOLUME_ID: NAME_OF_A_POSTGRES_UPSTREAM } }')]
  }
  return ties
    .filter(({ upstream }) => !databases.includes(upstream))
    .map(({ thing, upstream }) =>
      bad(
        name,
        `${thing} of ${name} is tied to "${upstream}", but no postgres upstream is called that.`,
        `One of: ${databases.join(', ') || 'none'}.`,
      ),
    )
}

/** Promise 2 ends where an agent can go around: that is the network's to stop, and is said. */
function examineWayAround(file: ConfigurationFile, name: string): readonly Finding[] {
  const hosts: unknown = file.document.getIn(['upstreams', name, 'hosts'], true)
  const names: unknown = isSeq(hosts) ? hosts.toJSON() : []
  if (!Array.isArray(names) || names.length === 0)
    return [bad(name, `Upstream ${name} names no host.`, 'hosts: [api.example.com]')]
  const what = `Nothing here keeps an agent that finds a token from ${names.map(String).join(', ')} itself, around the gate.`
  return [note(name, what, 'let only the gate reach it (a firewall), and look for stray tokens: sallyport scan')]
}
