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
import { quorumOf } from '../approval-settings.ts'
import { wallClock as clock } from '../access/clock.ts'
import { makeRandomness } from '../access/randomness.ts'
import { openReviews, type Reviews } from '../access/reviews.ts'
import { openStateFolder, type StateFolder } from '../access/state-folder.ts'
import type { Config } from '../config.ts'
import { keepAccepted, proposalName } from '../configuration-desk.ts'
import { openLog, type FileLog } from '../log/file-log.ts'
import { recoverRun } from '../log/log-readers.ts'
import { makePolicy } from '../policy-settings.ts'
import type { GateOptions } from '../process.ts'
import { settleConfiguration } from '../proposal.ts'
import { openDatabase } from '../store/database.ts'
import { openMeta } from '../store/meta.ts'
import { openNarrowing } from '../store/narrowing.ts'
import { openPeople } from '../store/people.ts'
import { openRequests } from '../store/requests.ts'
import { connectorsOf } from '../upstream-settings.ts'
import type { VaultClient } from '../vault/vault-client.ts'
import { openPinnedVault } from '../vault/vault-watch.ts'
import { openWitness as openFurtherWitness } from '../witness/witness-url.ts'
import { diskFileSystem } from '../log/file-system.ts'
import { readRotations } from '../log/rotations.ts'
import { settleLogKey } from './key-rotation.ts'

const grantMs = 900_000

export const random = makeRandomness()

/** What everything else stands on. */
export interface Foundations {
  readonly config: Config
  readonly folder: StateFolder
  readonly database: DatabaseSync
  readonly vault: VaultClient
  readonly log: FileLog
  readonly policy: PolicyEngine
  readonly requests: Requests
  /** What one person broke glass for. */
  readonly reviews: Reviews
}

/** State, vault, log, recovery, policy, in this order: each stands on the one before. */
export async function openFoundations(options: GateOptions): Promise<Foundations> {
  const { report } = options
  const opened = openStateFolder(options.stateDirectory)
  const database = openDatabase(join(opened.directory, 'store.db'))
  const meta = openMeta(database)
  const start = {
    isAccepted: options.acceptConfiguration === true,
    isOwn: options.ownConfiguration === true,
    nowMs: clock.nowMs(),
  }
  const enrolled = (await openPeople(database).people.list()).length
  const stored = { accepted: meta.get('configuration'), text: meta.get('configuration text'), proposal: meta.get(proposalName) }
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
  const log = await openLog({ directory, signer, clock, witness: await openWitness(signer), further, report })
  const policy = makePolicy(config)
  await warmConnectors(connectorsOf(config))
  const reviews = openReviews({ clock, log, memory: meta, breakers: config.breakGlass, delayMs: config.coolOffMs })
  const base: Foundations = { config, folder, database, vault, log, policy, requests: openRequests(database), reviews }
  await recoverRun(makeVerdictPorts(base, log, base.requests), log, meta, openNarrowing(database), report)
  const guards = policy.guards.map(({ id }) => id)
  await log.append({
    type: 'configuration.applied',
    atMs: clock.nowMs(),
    data: { policyHash: policy.hash, mode: config.mode, guards, widened },
  })
  await keepAccepted({ clock, log, memory: meta }, config, proposal)
  return base
}

export function makeVerdictPorts({ policy, config, database, reviews }: Foundations, log: Log, requests: Requests): VerdictPorts {
  const { people } = openPeople(database)
  const isEnrolled = (name: string): Promise<boolean> => people.isEnrolled(name)
  return {
    clock,
    random,
    log,
    requests,
    policyHash: () => policy.hash,
    mode: () => config.mode,
    isEnrolled,
    quorumOf: quorumOf(config),
    glass: reviews,
    grantMs,
  }
}
