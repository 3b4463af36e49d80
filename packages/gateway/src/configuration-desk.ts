import { isSamePerson, SallyportError, sha256Hex, type Clock, type Json, type Log } from '@sallyport/core'
import { parseConfig, type Config, type ConfigResult } from './config.ts'
import { propose, readProposal, type Proposal } from './proposal.ts'
import { acceptedOf, digestAccepted, findWidenings } from './widening.ts'

/** Facts that all gates share: each change says what it was made from. */
interface Memory {
  get(name: string): string | null
  set(name: string, value: string): void | Promise<void>
  swap(name: string, before: string | null, after: string): boolean | Promise<boolean>
}

export interface ConfigurationPorts {
  readonly clock: Clock
  readonly log: Log
  readonly memory: Memory
  /** The configuration file as it is now. */
  readonly read: () => ConfigResult
  /** What the file does not keep to of what it itself expects, a line each. Absent: nobody looks. */
  readonly unmet?: (config: Config) => Promise<readonly string[]>
}

/** A person's passkey over the acceptance. */
interface SignedAcceptance {
  readonly person: string
  readonly credentialId: string
  readonly challenge: string
  readonly statement: Json
  readonly evidence: Json
}

type Reread =
  | { readonly outcome: 'same' | 'narrower' }
  | { readonly outcome: 'mistakes'; readonly lines: readonly string[] }
  | { readonly outcome: 'proposed'; readonly widenings: readonly string[] }

export interface ConfigurationDesk {
  readonly path: string
  readonly textInForce: string
  /** How long an acceptance waits before it counts, ms. */
  readonly coolOffMs: number
  proposal(): Proposal | null
  reread(): Promise<Reread>
  /** A text that somebody typed instead of writing it into the file, and that was tried before. */
  proposeText(text: string, by: string): Promise<Reread>
  accept(digest: string, signed: SignedAcceptance, needed: number): Promise<Acceptance | null>
  forget(person: string): Promise<void>
  withdraw(digest: string, by: string): Promise<boolean>
}

interface Acceptance {
  readonly missing: number
  readonly notBeforeMs: number | null
}

/** Where the store keeps what waits. Empty: nothing does. */
export const proposalName = 'configuration proposal'

/** What people may do about the configuration while a gate runs. Nothing here changes what is in force: only a start does. */
export function openConfigurationDesk(ports: ConfigurationPorts, inForce: Config): ConfigurationDesk {
  const { memory } = ports
  const accepted = acceptedOf(inForce)
  const current = (): Proposal | null => {
    const proposal = readProposal(memory.get(proposalName))
    return proposal?.before === digestAccepted(accepted) ? proposal : null
  }
  const find = (digest: string): Proposal | null => {
    const proposal = current()
    return proposal?.digest === digest ? proposal : null
  }
  const take = async (read: ConfigResult, by: string | null): Promise<Reread> => {
    if (!read.ok)
      return { outcome: 'mistakes', lines: read.mistakes.map(({ line, what, hint }) => `line ${line}: ${what}; ${hint}`) }
    const after = acceptedOf(read.config)
    const widenings = findWidenings(accepted, after)
    if (widenings.length === 0) return { outcome: digestAccepted(after) === digestAccepted(accepted) ? 'same' : 'narrower' }
    const unmet = by === null ? ((await ports.unmet?.(read.config)) ?? []) : []
    if (unmet.length > 0) return { outcome: 'mistakes', lines: unmet }
    const known = find(digestAccepted(after))
    // The same power in other words, or with other expectations: the newer words, unless somebody has put their name to the others.
    const isStale = known !== null && known.textSha256 !== sha256Hex(read.config.text) && known.acceptances.length === 0
    if (known === null || isStale) await keepProposal(ports, propose(read.config, accepted, ports.clock.nowMs(), by))
    return { outcome: 'proposed', widenings }
  }
  return {
    path: inForce.path,
    textInForce: inForce.text,
    coolOffMs: inForce.mode === 'solo' ? inForce.coolOffMs : 0,
    proposal: current,
    reread: () => take(ports.read(), null),
    proposeText: (text, by) => take(parseConfig(text, inForce.path), by),
    accept: (digest, signed, needed) => {
      const before = memory.get(proposalName)
      return accept(ports, { proposal: find(digest), before }, signed, needed, inForce)
    },
    forget: async (person) => {
      for (;;) {
        const before = memory.get(proposalName)
        const proposal = current()
        const acceptances = proposal?.acceptances.filter((one) => !isSamePerson(one.person, person)) ?? []
        if (proposal === null || acceptances.length === proposal.acceptances.length) return
        const after = JSON.stringify({ ...proposal, acceptances, notBeforeMs: null })
        // Somebody else accepts at this moment: looked at again, with theirs.
        if (await memory.swap(proposalName, before, after)) return
      }
    },
    withdraw: async (digest, by) => {
      if (find(digest) === null) return false
      // It only takes away, so it holds also when the log can't have it.
      await memory.set(proposalName, '')
      await ports.log.append({ type: 'configuration.withdrawn', atMs: ports.clock.nowMs(), data: { digest, by } })
      return true
    },
  }
}

/** On the log first: what nobody can read about is nothing people could have accepted. */
async function keepProposal({ clock, log, memory }: Omit<ConfigurationPorts, 'read'>, proposal: Proposal): Promise<void> {
  const { digest, before, textSha256, widenings, by } = proposal
  await log.append({
    type: 'configuration.proposed',
    atMs: clock.nowMs(),
    data: { digest, before, textSha256, widenings, ...(by === null ? {} : { by }) },
  })
  await memory.set(proposalName, JSON.stringify(proposal))
}

/** After a start: what is in force is accepted, or what the file asks for beyond it waits for people. */
export async function keepAccepted(
  ports: Omit<ConfigurationPorts, 'read'>,
  config: Config,
  proposal: Proposal | null,
): Promise<void> {
  const { memory } = ports
  if (proposal === null) {
    await memory.set('configuration', JSON.stringify(acceptedOf(config)))
    await memory.set('configuration text', config.text)
    if (!isTypedFor(readProposal(memory.get(proposalName)), config)) await memory.set(proposalName, '')
    return
  }
  if (memory.get(proposalName) !== JSON.stringify(proposal)) await keepProposal(ports, proposal)
}

/** What somebody typed is in no file: the file's silence does not take it back. */
function isTypedFor(waiting: Proposal | null, config: Config): boolean {
  return waiting !== null && waiting.by !== null && waiting.before === digestAccepted(acceptedOf(config))
}

async function accept(
  ports: ConfigurationPorts,
  { proposal, before }: { readonly proposal: Proposal | null; readonly before: string | null },
  signed: SignedAcceptance,
  needed: number,
  { mode, coolOffMs }: Config,
): Promise<Acceptance | null> {
  if (proposal === null) return null
  if (proposal.acceptances.some(({ person }) => isSamePerson(person, signed.person)))
    throw new SallyportError(
      'refused_by_guard',
      'You have accepted this already.',
      'Nothing was changed.',
      'Somebody else has to accept it too.',
    )
  const nowMs = ports.clock.nowMs()
  const missing = Math.max(0, needed - proposal.acceptances.length - 1)
  const notBeforeMs = missing > 0 ? null : nowMs + (mode === 'solo' ? coolOffMs : 0)
  const { person, credentialId, challenge, statement, evidence } = signed
  await ports.log.append({
    type: 'configuration.accepted',
    atMs: nowMs,
    data: { digest: proposal.digest, by: person, missing, notBeforeMs, challenge, statement, credential: credentialId, evidence },
  })
  const acceptances = [...proposal.acceptances, { person, credentialId, atMs: nowMs }]
  const after = JSON.stringify({ ...proposal, acceptances, notBeforeMs })
  if (await ports.memory.swap(proposalName, before, after)) return { missing, notBeforeMs }
  throw new SallyportError(
    'refused_by_guard',
    'The proposal was changed by somebody else at the same moment.',
    'Your acceptance does not count yet.',
    'Look at it again, then accept it.',
  )
}
