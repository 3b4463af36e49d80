import { createHash } from 'node:crypto'
import type { Message, RawClient } from '../../fakes/postgres-client.ts'
import { query, sync, type Scenario, type Step } from './scenario.ts'

/** How long an answer may take, milliseconds: one that never comes is a difference, and says what came instead. */
const answerMs = 10_000

/** One way to the server: straight, or through the gate. Plays scenarios and writes down every message of the answers. */
export class Side {
  readonly #open: () => Promise<RawClient>
  /** Oids from here on were made by a scenario, so they differ on each side. */
  readonly #freshOid: number
  #clients = new Map<string, RawClient>()
  #pids = new Map<number, string>()
  #oids = new Map<number, string>()

  constructor(open: () => Promise<RawClient>, freshOid: number) {
    this.#open = open
    this.#freshOid = freshOid
  }

  /** A line for each message of the answers, step by step. */
  async play(scenario: Scenario): Promise<readonly string[]> {
    const lines: string[] = []
    let answers: readonly Message[] = []
    this.#oids.clear()
    if (this.#clients.get('a')?.closed === true) this.#clients.delete('a')
    for (const step of scenario.steps) {
      const client = await this.#client(step.on)
      client.send(typeof step.says === 'function' ? step.says(answers) : step.says)
      answers = await this.#hear(client, step)
      lines.push(...answers.map((message) => `${step.on} ${this.#write(message)}`))
    }
    if (!scenario.clean) lines.push(...(await this.#reset()))
    return lines
  }

  async #client(name: string): Promise<RawClient> {
    const known = this.#clients.get(name)
    if (known !== undefined) return known
    const client = await this.#open()
    this.#clients.set(name, client)
    const key = client.startMessages.find(({ type }) => type === 'K')
    if (key !== undefined) this.#pids.set(key.bytes.readInt32BE(5), name)
    return client
  }

  async #hear(client: RawClient, { until }: Step): Promise<readonly Message[]> {
    const answers: Message[] = []
    let left = typeof until === 'number' ? until : 1
    while (left > 0) {
      const message = await within(client.next())
      if (message === null) {
        client.close()
        return [...answers, { type: 'nothing more came', bytes: Buffer.alloc(0) }]
      }
      answers.push(message)
      if (message.type === 'closed') break
      if (message.type === (typeof until === 'number' ? 'Z' : until)) left -= 1
    }
    return answers
  }

  /** Whatever a scenario left behind in the session is taken away; its answers are compared too. */
  async #reset(): Promise<readonly string[]> {
    for (const [name, client] of this.#clients) {
      if (name === 'a' && !client.closed) continue
      client.close()
      this.#clients.delete(name)
    }
    const client = this.#clients.get('a')
    if (client === undefined) return []
    client.send(query('rollback'), query('discard all'))
    const answers = await this.#hear(client, { on: 'a', says: sync, until: 2 })
    return answers.map((message) => `reset ${this.#write(message)}`)
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
  }

  #write({ type, bytes }: Message): string {
    const same = this.#normalise(type, bytes)
    const text = same.toString('latin1').replaceAll(/[^\x20-\x7e]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`)
    return text.length <= 2_000
      ? `${type} ${text}`
      : `${type} ${same.length} bytes ${createHash('sha256').update(same).digest('hex')}`
  }

  /**
   * What must differ, and nothing else: the line of the server's source in errors that the gate gives in its place, the process id in NotificationResponse (it is compared with the one in
   * BackendKeyData), and the oids of tables and types that the scenario has made itself.
   */
  #normalise(type: string, bytes: Buffer): Buffer {
    const body = Buffer.from(bytes.subarray(5))
    if (type === 'E') return withoutSource(body)
    if (type === 'A') return Buffer.concat([Buffer.from(this.#pids.get(body.readInt32BE(0)) ?? 'unknown'), body.subarray(4)])
    if (type === 't') for (let at = 2; at < body.length; at += 4) this.#normaliseOid(body, at)
    if (type !== 'T') return body
    let at = 2
    for (let left = body.readInt16BE(0); left > 0; left -= 1) {
      at = body.indexOf(0, at) + 1
      this.#normaliseOid(body, at)
      this.#normaliseOid(body, at + 6)
      at += 18
    }
    return body
  }

  /** The first oid that a scenario made becomes 0xffff0001, and so on: which one is which is still compared. */
  #normaliseOid(body: Buffer, at: number): void {
    const oid = body.readUInt32BE(at)
    if (oid < this.#freshOid) return
    const known = this.#oids.get(oid) ?? String(0xffff0001 + this.#oids.size)
    this.#oids.set(oid, known)
    body.writeUInt32BE(Number(known), at)
  }
}

/** SQLSTATEs of errors that the gate gives in the server's place and words: it knows of every statement and portal that there is, and of a
 * failed transaction in which it can look nothing up. */
const givenByGate = new Set(['25P02', '26000', '34000'])

/** Which line of the server's source an error came from (fields F, L and R): the gate has none. */
function withoutSource(body: Buffer): Buffer {
  const fields = body.toString('latin1').split('\0')
  if (!givenByGate.has(fields.find((field) => field.startsWith('C'))?.slice(1) ?? '')) return body
  return Buffer.from(fields.filter((field) => !/^[FLR]/.test(field)).join('\0'), 'latin1')
}

/** Null when it took too long. */
async function within(answer: Promise<Message>): Promise<Message | null> {
  const deadline = AbortSignal.timeout(answerMs)
  const late = new Promise<null>((resolve) => deadline.addEventListener('abort', () => resolve(null)))
  return await Promise.race([answer, late])
}
