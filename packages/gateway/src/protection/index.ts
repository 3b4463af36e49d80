import { SallyportError, type Protection, type WalSource } from '@sallyport/core'
import { Continuous } from './continuous.ts'
import { slotName, type ContinuousPorts, type ContinuousSettings, type ContinuousStatus } from './continuous-status.ts'

export type { ContinuousStatus } from './continuous-status.ts'

export interface ProtectionsPorts extends Omit<ContinuousPorts, 'source' | 'vault'> {
  readonly vault: ContinuousPorts['vault'] & { readonly publicKey: string }
  readonly source: (upstream: string) => WalSource
}

/** All upstreams under continuous protection. */
export interface Protections extends Protection {
  statuses(): readonly ContinuousStatus[]
  /** What people should know, a sentence each. */
  warnings(): readonly string[]
  close(): Promise<void>
}

export function startProtections(ports: ProtectionsPorts, list: readonly ContinuousSettings[]): Protections {
  const all = new Map(
    list.map((settings) => {
      const { source, ...rest } = ports
      const { upstream } = settings
      return [
        upstream,
        new Continuous({ ...rest, source: source(upstream) }, settings, slotName(ports.vault.publicKey, upstream)),
      ]
    }),
  )
  for (const one of all.values()) one.start()
  const statuses = (): readonly ContinuousStatus[] => [...all.values()].map(({ status }) => status)
  return {
    state: (upstream) => all.get(upstream)?.protection ?? null,
    mark: async (upstream, name) => {
      const found = all.get(upstream)
      if (found === undefined) throw notContinuous(upstream)
      return await found.mark(name)
    },
    statuses,
    warnings: () => statuses().flatMap(warn),
    close: async () => void (await Promise.all([...all.values()].map((one) => one.close()))),
  }
}

function warn({ upstream, state, why, provenAtMs, base }: ContinuousStatus): readonly string[] {
  switch (state) {
    case 'impossible':
      return [
        `${upstream} is not protected continuously: ${why ?? ''} Until then only what a statement would lose is copied, when it runs.`,
      ]
    case 'stalled':
    case 'waiting':
      return [`Of ${upstream} nothing new goes into the vault just now: ${why ?? ''}`]
    case 'starting':
      return []
    case 'streaming':
      if (base === null) return [`Of ${upstream} there is no base copy yet: it cannot be restored to a moment until there is.`]
      return provenAtMs === null
        ? [`No restore of ${upstream} was proven yet. Until one is, its restore points count for nothing.`]
        : []
  }
}

function notContinuous(upstream: string): SallyportError {
  return new SallyportError(
    'copy_failed',
    `${upstream} is not protected continuously.`,
    'No restore point was made; nothing was run.',
    'Add `continuous: {}` to it in sallyport.yaml.',
  )
}
