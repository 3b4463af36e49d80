import { parse as parseForm } from 'node:querystring'
import { execute, getOperationAST, OperationTypeNode, parse, validate } from 'graphql'
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { z } from 'zod'
import { makeSchema } from '../../packages/cli/src/playground/cloud/schema.ts'
import { HttpStandIn, jsonAnswer, type ReceivedRequest, type StandInAnswer } from './http-upstream.ts'

const itemShape = z.object({
  query: z.string(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
})
type Item = z.infer<typeof itemShape>

/** A stand-in is no target of its own: what is larger, no server would read. */
const bytesMax = 64 * 1024
const tokensMax = 2_000

/** The volume that there is. */
export const volume = 'volume-1'

const volumes = {
  edges: [{ node: { id: volume, name: 'data', volumeInstances: { edges: [] } } }],
}

/**
 * A cloud that reads whatever it can as GraphQL, in every way in which some server reads it, and runs it with graphql-js: the last of two equal
 * keys and the first, queries in the URL and in forms, bodies of any type. What a gate lets through must be harmless even to this one.
 */
export class GraphqlStandIn extends HttpStandIn {
  /** Ids of the volumes it was told to delete. */
  readonly deleted: string[] = []
  readonly #schema = makeSchema()

  constructor(tls: { readonly key: string; readonly certificate: string }) {
    super(tls)
    this.readAll()
  }

  readAll(): void {
    this.answer = (received): StandInAnswer => {
      return (socket) => {
        void this.#run(received).then((answer) => socket.write(jsonAnswer(answer)))
      }
    }
  }

  override reset(): void {
    super.reset()
    this.deleted.length = 0
    this.readAll()
  }

  async #run(received: ReceivedRequest): Promise<unknown> {
    const results: unknown[] = []
    for (const item of readItems(received)) results.push(await this.#runItem(item))
    return results.length === 1 ? results[0] : results
  }

  async #runItem({ query, operationName, variables }: Item): Promise<unknown> {
    try {
      const document = parse(query, { maxLexicalTokens: tokensMax })
      const faults = validate(this.#schema, document)
      if (faults.length > 0) return { errors: faults.map(({ message }) => ({ message })) }
      const operation = getOperationAST(document, operationName ?? undefined)
      if (operation?.operation === OperationTypeNode.SUBSCRIPTION) return { errors: [{ message: 'no subscriptions' }] }
      return await execute({
        schema: this.#schema,
        document,
        operationName: operationName ?? null,
        variableValues: variables ?? {},
        rootValue: {
          me: { id: 'me', email: 'x@example.test' },
          projects: { edges: [{ node: { name: 'shop', volumes } }] },
          volumeDelete: ({ volumeId }: { volumeId: string }) => {
            this.deleted.push(volumeId)
            return true
          },
        },
      })
    } catch (error) {
      return { errors: [{ message: error instanceof Error ? error.message : 'unreadable' }] }
    }
  }
}

/** Every reading of a request that any server might make. */
function readItems({ target, headers, body }: ReceivedRequest): readonly Item[] {
  const search = new URL(target, 'https://cloud.test').searchParams
  const opened = openBody(headers.find(([name]) => name === 'content-encoding')?.[1], body)
  if (opened.length > bytesMax) return []
  const texts = [opened.toString('utf8'), opened.toString('utf16le')]
  const candidates: unknown[] = [Object.fromEntries(search)]
  for (const text of texts) {
    candidates.push({ query: text }, { ...parseForm(text) })
    for (const line of [text, ...text.split('\n')]) candidates.push(...readJson(line), ...readJson(firstOfEqualKeys(line)))
  }
  const items = candidates.flatMap((candidate) => {
    const item = itemShape.safeParse(lowerKeys(candidate))
    return item.success && item.data.query.includes('{') ? [item.data] : []
  })
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()]
}

function openBody(coding: string | undefined, body: Buffer): Buffer {
  try {
    if (coding === 'gzip') return gunzipSync(body)
    if (coding === 'br') return brotliDecompressSync(body)
    if (coding === 'deflate') return inflateSync(body)
    return coding === 'zstd' ? zstdDecompressSync(body) : body
  } catch {
    return body
  }
}

function readJson(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    return Array.isArray(value) ? value.flat(3) : [value]
  } catch {
    return []
  }
}

/** The second and later keys of one name, renamed: what is left is what a reader of first keys sees. */
function firstOfEqualKeys(text: string): string {
  const seen = new Set<string>()
  return text.replaceAll(/"(query|variables|operationName)"\s*:/g, (whole, name: string) => {
    if (!seen.has(name)) {
      seen.add(name)
      return whole
    }
    return `"later-${name}":`
  })
}

function lowerKeys(candidate: unknown): unknown {
  if (typeof candidate !== 'object' || candidate === null) return candidate
  const names = new Map([
    ['query', 'query'],
    ['variables', 'variables'],
    ['operationname', 'operationName'],
  ])
  return Object.fromEntries(Object.entries(candidate).map(([key, value]) => [names.get(key.toLowerCase()) ?? key, value]))
}
