import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { warmConnectors } from '@sallyport/connectors'
import {
  noteSigner,
  type NoteSigner,
  type Witness,
  type Log,
  type PolicyEngine,
  type Requests,
  type VerdictPorts,
} from '@sallyport/core'
import { quorumOf, type FindMembers } from '../approval-settings.ts'
import { wallClock } from '../access/clock.ts'
import { makeRandomness } from '../access/randomness.ts'
import { openReviews, type ReviewPorts, type Reviews } from '../access/reviews.ts'
import { openStateFolder, type StateFolder } from '../access/state-folder.ts'
import type { Config } from '../config.ts'
import { keepAccepted, proposalName } from '../configuration-desk.ts'
import { openLog, type FileLog } from '../log/file-log.ts'
import { recoverRun, type RunMemory } from '../log/log-readers.ts'
import { makePolicy } from '../policy-settings.ts'
import type { GateOptions } from '../process.ts'
import { settleConfiguration } from '../proposal.ts'
import { openDatabase } from '../store/database.ts'
import { openMeta, type MetaStore } from '../store/meta.ts'
import type { Store } from '../store/store.ts'
import { codeRuleOf } from '../totp-settings.ts'
import { connectorsOf } from '../upstream-settings.ts'
import type { VaultClient } from '../vault/vault-client.ts'
import { openPinnedVault } from '../vault/vault-watch.ts'
import { openWitness as openFurtherWitness } from '../witness/witness-url.ts'
import { diskFileSystem } from '../log/file-system.ts'
import { readRotations } from '../log/rotations.ts'
import { settleLogKey } from './key-rotation.ts'
import { membersAt } from './members.ts'
import { openStore } from './store.ts'

const grantMs = 900_000

export const random = makeRandomness()

/** What everything else stands on. */
export interface Foundations {
  readonly config: Config
  readonly folder: StateFolder
  /** What is this gate's own, whoever shares the store: how far its log was looked at, its vault, its deliveries. */
  readonly database: DatabaseSync
  readonly store: Store
  /** Keeps SCRAM salts stable: the same at every gate, or a handle would be good at one only. */
  readonly saltKey: Buffer
  readonly vault: VaultClient
  readonly log: FileLog
  readonly policy: PolicyEngine
  readonly requests: Requests
  /** What one person broke glass for. */
  readonly reviews: Reviews
  /** Who is in which group at the team's provider. */
  readonly findMembers: FindMembers
}

/** State, vault, log, recovery, policy, in this order: each stands on the one before. */
export async function openFoundations(options: GateOptions): Promise<Foundations> {
  const { report } = options
  const opened = openStateFolder(options.stateDirectory)
  const database = openDatabase(join(opened.directory, 'store.db'))
  const meta = openMeta(database)
  const store = await openStore(options.config, database, opened.origin, wallClock, report)
  try {
    return await settle(options, { opened, database, meta, store })
  } catch (error) {
    await store.close()
    throw error
  }
}

interface Ground extends Pick<Foundations, 'database' | 'store'> {
  readonly opened: StateFolder
  readonly meta: MetaStore
}

async function settle(options: GateOptions, { opened, database, meta, store }: Ground): Promise<Foundations> {
  const { report } = options
  const { clock, facts } = store
  const start = {
    isAccepted: options.acceptConfiguration === true,
    isOwn: options.ownConfiguration === true,
    nowMs: clock.nowMs(),
  }
  const enrolled = (await store.people.people.list()).length
  const stored = {
    accepted: await facts.get('configuration'),
    text: await facts.get('configuration text'),
    proposal: await facts.get(proposalName),
  }
  const { config, widened, proposal } = settleConfiguration(options.config, stored, { ...start, enrolled })
  const pinned = { socketPath: options.vaultSocket, tokenFile: options.vaultTokenFile }
  const vault = await openPinnedVault(pinned, meta)
  const openWitness = async ({ key }: NoteSigner): Promise<Witness> =>
    vault.witness(key, await readRotations(diskFileSystem, join(opened.directory, 'log')))
  const folder = await settleLogKey({ folder: opened, openWitness, report })
  const signer = noteSigner(folder.origin, folder.logSeed)
  const directory = join(folder.directory, 'log')
  const { needed, by } = config.witnesses
  const further = { needed, witnesses: by.map(openFurtherWitness) }
  const log = await openLog({ directory, signer, clock, witness: await openWitness(signer), further, archive: vault, report })
  const policy = makePolicy(config)
  await warmConnectors(connectorsOf(config))
  const isShared = options.config.store !== null
  const saltKey = Buffer.from(isShared ? await shareKey(store, folder.saltKey) : folder.saltKey)
  const glass = await store.view(['reviews'])
  const broken: ReviewPorts['memory'] = {
    get: (name) => facts.get(name),
    swap: (name, before, after) => glass.swap(name, before, after),
  }
  const reviews = openReviews({ clock, log, memory: broken, breakers: config.breakGlass, delayMs: config.coolOffMs })
  const findMembers = membersAt(config, store)
  const kept = { database, store, requests: store.requests, vault, log }
  const base: Foundations = { config, folder, ...kept, saltKey, policy, reviews, findMembers }
  const ownMemory = isShared ? ownFacts(facts, folder.origin) : facts
  await recoverRun(makeVerdictPorts(base, log, base.requests), log, ownMemory, store.narrowing, report)
  const guards = policy.guards.map(({ id }) => id)
  await log.append({
    type: 'configuration.applied',
    atMs: clock.nowMs(),
    data: { policyHash: policy.hash, mode: config.mode, guards, widened },
  })
  await keepAccepted({ clock, log, memory: await store.view([proposalName]) }, config, proposal)
  return base
}

export function makeVerdictPorts(
  { policy, config, store, reviews, findMembers }: Foundations,
  log: Log,
  requests: Requests,
): VerdictPorts {
  const { people } = store.people
  const { clock } = store
  const codeRule = codeRuleOf(config.totp)
  const isEnrolled = (name: string): Promise<boolean> => people.isEnrolled(name)
  return {
    clock,
    random,
    log,
    requests,
    policyHash: () => policy.hash,
    mode: () => config.mode,
    isEnrolled,
    quorumOf: quorumOf(config, findMembers),
    glass: reviews,
    codeRule: () => codeRule,
    grantMs,
  }
}

/** How far this gate's own log was looked at is kept in the store: one from an older image shows by it. */
function ownFacts(facts: Store['facts'], origin: string): RunMemory {
  return { get: (name) => facts.get(`${name} ${origin}`), set: (name, value) => facts.set(`${name} ${origin}`, value) }
}

const sharedKeyName = 'salt key'

/** The first gate's, for all. */
async function shareKey(store: Store, own: Buffer): Promise<Buffer> {
  const view = await store.view([sharedKeyName])
  await view.swap(sharedKeyName, null, own.toString('hex'))
  return Buffer.from((await store.facts.get(sharedKeyName)) ?? '', 'hex')
}
