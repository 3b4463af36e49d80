import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { openConfigurationFile, readReferences } from '../../packages/cli/src/configuration-file.ts'
import type { PostgresServer } from '../servers/postgres.ts'
import { runCommandLine, type CommandLineEnd } from './command-line.ts'

export const ownerPassword = 'an-owner-s-password'

/** A folder with a configuration in which `robot` and `writer` have something on `orders`, a database `shop` that `app` owns. */
export class ProvisionFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'sallyport-provision-'))
  readonly configuration = join(this.folder, 'sallyport.yaml')
  readonly #server: PostgresServer

  constructor(server: PostgresServer) {
    this.#server = server
    mkdirSync(join(this.folder, 'secrets'), { mode: 0o700 })
    const url = `postgres://app:${ownerPassword}@127.0.0.1:${server.port}/shop`
    writeFileSync(join(this.folder, 'secrets', 'orders.use'), `${url}\n`, { mode: 0o600 })
    writeFileSync(
      this.configuration,
      `# kept
version: 1
upstreams:
  orders:
    protocol: postgres
    use: file:secrets/orders.use
agents:
  robot:
    owner: ada
    may: [read orders]
  writer:
    owner: ada
    may: [write orders]
  coder:
    owner: ada
    may: [any orders]
`,
    )
  }

  /** `sallyport upstream provision orders WORDS`, with the administrator's URL on standard input. */
  run(words: readonly string[], administrator = this.#server.url('shop')): Promise<CommandLineEnd> {
    return runCommandLine(['upstream', 'provision', 'orders', ...words], { folder: this.folder, input: `${administrator}\n` })
  }

  /** As `run`, with --json, when it must go well. */
  async made(words: readonly string[], administrator?: string): Promise<z.infer<typeof madeShape>> {
    const end = await this.run([...words, '--json'], administrator)
    if (end.code !== 0) {
      const open = /"what":"[^{}]*"verdict":"open"/g
      throw new Error(`${end.code}: ${end.errors}${(end.output.match(open) ?? []).join(' ')}`)
    }
    return madeShape.parse(JSON.parse(end.output))
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** The URL that `as` leads to. */
  url(agent: string): string {
    const found = readReferences(openConfigurationFile(this.configuration)).find((one) => one.agent === agent)
    if (found === undefined) throw new Error(`${agent} has no role of its own`)
    return readFileSync(join(this.folder, found.reference.slice('file:'.length)), 'utf8').trim()
  }
}

const madeShape = z.object({
  role: z.string(),
  kind: z.string(),
  state: z.string(),
  expiresAtMs: z.number(),
  missing: z.array(z.string()),
  withheld: z.array(z.string()),
  mended: z.array(z.string()),
  unmendable: z.array(z.string()),
  findings: z.array(z.object({ id: z.string(), hole: z.boolean() })),
  proof: z.array(z.object({ what: z.string(), verdict: z.string(), sqlState: z.string() })),
})

/** Owner and database, without anything in it. */
export async function makeShop(server: PostgresServer): Promise<void> {
  await server.query(`CREATE ROLE app LOGIN PASSWORD '${ownerPassword}'`)
  await server.query('CREATE DATABASE shop OWNER app')
  await server.query('ALTER SCHEMA public OWNER TO app', [], 'shop')
}

/** SQL as the owner. */
export async function asOwner(server: PostgresServer, sql: string): Promise<void> {
  await server.query(`SET ROLE app; ${sql}`, [], 'shop')
}
