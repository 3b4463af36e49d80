import { SallyportError, type Upstream } from '@sallyport/core'

/** A way into another upstream, whose locks hold until `end`. */
export interface TiedUpstream {
  readonly upstream: Upstream
  end(commit: boolean): Promise<void>
  close(): void
}

/** Null: configuration ties nothing to this thing. */
export type OpenTie = (type: string, id: string) => Promise<TiedUpstream> | null

/** Things of other upstreams that one request may rest on. */
const tiesMax = 16
/** A database that is gone, as after its volume was deleted, may not answer any more. */
const farewellMs = 2_000

/** One request's ways into the upstreams that lie on what it is about. Nothing that is done through them stays. */
export class Ties {
  readonly #open: OpenTie
  readonly #ways = new Map<string, Promise<TiedUpstream>>()
  #resting: Promise<void> = Promise.resolve()
  #left = false

  constructor(open: OpenTie) {
    this.#open = open
  }

  async find(type: string, id: string): Promise<Upstream | null> {
    await this.#resting
    const key = JSON.stringify([type, id])
    const known = this.#ways.get(key)
    if (known !== undefined) return (await known).upstream
    if (this.#left || this.#ways.size >= tiesMax) throw tooMany()
    const opening = this.#open(type, id)
    if (opening === null) return null
    this.#ways.set(key, opening)
    opening.catch(() => this.#ways.delete(key))
    return (await opening).upstream
  }

  /** Lets go of every lock; whoever looks again takes new ones. */
  rest(): Promise<void> {
    const ways = [...this.#ways.values()]
    this.#resting = Promise.all(ways.map(endQuietly)).then(() => undefined)
    return this.#resting
  }

  /** Over: every way is ended and closed. Never throws, and waits for nobody long. */
  async leave(): Promise<void> {
    this.#left = true
    await this.rest()
    for (const way of this.#ways.values()) {
      way.then(
        (opened) => opened.close(),
        () => undefined,
      )
    }
  }
}

async function endQuietly(opening: Promise<TiedUpstream>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, farewellMs)))
  const ended = opening.then((way) => way.end(false)).catch(() => undefined)
  await Promise.race([ended, late])
  clearTimeout(timer)
}

function tooMany(): SallyportError {
  return new SallyportError(
    'limit_exceeded',
    `One request is about more than ${tiesMax} things on which other upstreams lie.`,
    'Nothing was sent upstream.',
    'Send it in several requests.',
  )
}
