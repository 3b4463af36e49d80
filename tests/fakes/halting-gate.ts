import { AsyncLocalStorage } from 'node:async_hooks'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Connector, GovernPorts, KillSwitch, Log, Requests } from '@sallyport/core'
import { startGate } from '../../packages/gateway/src/main.ts'
import { runProcess } from '../../packages/gateway/src/process.ts'

/**
 * A real gate whose ports stop for good at a named step, so that a test can kill it just there. Reads `halts.json` in the state directory
 * (agent → `before log.append intent 1`) anew at each step; writes every step it passes, and every halt, to `trace.txt`: agent, tab, step.
 * A step is told by port, method, for the log the event's type, and how often this agent came by; steps of a verdict begin with `verdict`.
 */
const haltsShape = z.record(z.string(), z.string())
const eventShape = z.object({ type: z.string(), agent: z.string().optional(), data: z.object({ request: z.string().nullish() }) })
const requestShape = z.object({ id: z.string(), question: z.object({ subject: z.object({ agent: z.string() }) }) })

class Steps {
  readonly #directory: string
  /** Whose request the pipeline is working on, on this line of execution; a verdict has none. */
  readonly #passage = new AsyncLocalStorage<string>()
  readonly #agentsOfRequests = new Map<string, string>()
  readonly #visits = new Map<string, number>()

  constructor(directory: string) {
    this.#directory = directory
  }

  /** The first thing that `ask` does for a request, in its own line of execution. */
  enter(agent: string): void {
    this.#passage.enterWith(agent)
  }

  async pass(port: string, method: string, words: readonly unknown[], work: () => unknown): Promise<unknown> {
    const agent = this.#agentOf(method, words)
    if (agent === null) return await work()
    const event = method === 'append' ? ` ${eventShape.parse(words[0]).type}` : ''
    const side = this.#passage.getStore() === undefined ? 'verdict ' : ''
    const visit = this.#count(`${agent} ${side}${port}.${method}${event}`)
    const step = `${side}${port}.${method}${event} ${visit}`
    await this.#stopAt(agent, `before ${step}`)
    const result = await work()
    await this.#stopAt(agent, `after ${step}`)
    return result
  }

  #agentOf(method: string, words: readonly unknown[]): string | null {
    const [first] = words
    if (method === 'open') {
      const { id, question } = requestShape.parse(first)
      this.#agentsOfRequests.set(id, question.subject.agent)
    }
    const passage = this.#passage.getStore()
    if (passage !== undefined) return passage
    if (method === 'append') {
      const { agent, data } = eventShape.parse(first)
      return agent ?? this.#agentsOfRequests.get(data.request ?? '') ?? null
    }
    return typeof first === 'string' ? (this.#agentsOfRequests.get(first) ?? null) : null
  }

  #count(what: string): number {
    const visit = (this.#visits.get(what) ?? 0) + 1
    this.#visits.set(what, visit)
    return visit
  }

  async #stopAt(agent: string, step: string): Promise<void> {
    const file = join(this.#directory, 'halts.json')
    const isHalt = existsSync(file) && haltsShape.parse(JSON.parse(readFileSync(file, 'utf8')))[agent] === step
    appendFileSync(join(this.#directory, 'trace.txt'), `${agent}\t${isHalt ? 'halted ' : ''}${step}\n`)
    if (isHalt) await new Promise<never>(() => undefined)
  }
}

/** Every method of a port that answers later is a step. */
function watch<Port extends object>(steps: Steps, name: string, port: Port, methods: ReadonlySet<string>): Port {
  return new Proxy(port, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      const call = (words: readonly unknown[]): unknown => Reflect.apply(value, target, words)
      if (typeof property !== 'string' || !methods.has(property)) return (...words: readonly unknown[]) => call(words)
      return (...words: readonly unknown[]) => steps.pass(name, property, words, () => call(words))
    },
  })
}

const logSteps: readonly (keyof Log)[] = ['append']
const connectorSteps: readonly (keyof Connector)[] = ['describe', 'resolve', 'snapshot', 'count']
const requestSteps: readonly (keyof Requests)[] = [
  ...(['open', 'get', 'findByDigest', 'addApproval', 'countPending', 'approve'] as const),
  ...(['findGrant', 'consume', 'voidGrant', 'waitForVerdict'] as const),
]

function haltPorts(steps: Steps, ports: GovernPorts): GovernPorts {
  const killSwitch: KillSwitch = {
    epoch: () => ports.killSwitch.epoch(),
    epochOf: (agent, owner, session, upstream) => {
      steps.enter(agent)
      return ports.killSwitch.epochOf(agent, owner, session, upstream)
    },
    stopped: (agent, owner, session, upstream) => ports.killSwitch.stopped(agent, owner, session, upstream),
  }
  return {
    ...ports,
    killSwitch,
    log: watch(steps, 'log', ports.log, new Set(logSteps)),
    requests: watch(steps, 'requests', ports.requests, new Set(requestSteps)),
    vault: watch(steps, 'vault', ports.vault, new Set(['seal'])),
    budgets: watch(steps, 'budgets', ports.budgets, new Set(['spent', 'spend'])),
    connectors: new Map(
      [...ports.connectors].map(([id, connector]) => [id, watch(steps, 'connector', connector, new Set(connectorSteps))]),
    ),
  }
}

await runProcess(process.argv.slice(2), (options) => {
  const steps = new Steps(options.stateDirectory)
  return startGate({ ...options, decorate: (ports) => haltPorts(steps, ports) })
})
