import { dirname, resolve } from 'node:path'
import { isMap } from 'yaml'
import { z } from 'zod'
import { openConfigurationFile } from './configuration-file.ts'

/** The `vault` section, as far as its flags need it. The gate has checked it before. */
const placeShape = z.object({
  buckets: z.array(z.string()).default([]),
  credential: z.string().optional(),
  folder: z.boolean().default(false),
  recovery: z.array(z.string()).default([]),
  quota: z.string().optional(),
})

const unitBytes: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

export interface VaultFlags {
  /** Where copies lie: for every command of the vault's program. */
  readonly stores: readonly string[]
  /** What besides a vault is started with. */
  readonly serve: readonly string[]
}

/** What sallyport.yaml says of the vault, as flags of its program. Nothing said, or no such file: copies lie in the vault's folder. */
export function readVaultFlags(configuration: string | null): VaultFlags {
  const place = readPlace(configuration)
  if (!place || configuration === null) return { stores: [], serve: [] }
  const { buckets, credential, folder, recovery, quota } = place
  const file = credential?.replace(/^file:/, '')
  const [, count, unit] = /^(\d+)(MiB|GiB|TiB)$/.exec(quota ?? '') ?? []
  const quotaBytes = Number(count) * (unitBytes[unit ?? ''] ?? Number.NaN)
  return {
    stores: [
      ...buckets.map((bucket) => `--bucket=${bucket}`),
      ...(file === undefined ? [] : [`--bucket-credential=${resolve(dirname(configuration), file)}`]),
      ...(folder ? ['--folder-too'] : []),
    ],
    serve: [
      ...recovery.map((recipient) => `--recovery-recipient=${recipient}`),
      ...(Number.isSafeInteger(quotaBytes) ? [`--quota-bytes=${quotaBytes}`] : []),
    ],
  }
}

function readPlace(configuration: string | null): z.infer<typeof placeShape> | null {
  if (configuration === null) return null
  const section: unknown = openConfigurationFile(configuration).document.get('vault', true)
  return isMap(section) ? placeShape.parse(section.toJSON()) : null
}
