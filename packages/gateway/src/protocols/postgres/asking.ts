import type { Asked, Attendance, Upstream } from '@sallyport/core'
import type { GateChannel } from './gate-channel.ts'
import type { Line } from './line.ts'
import { namesCatalog, type Meaning } from './meaning.ts'
import { pendingState } from './refusal.ts'
import { Redaction } from './redaction.ts'
import { redactionKey, type SessionParts } from './session-parts.ts'
import type { Wanted } from './unit.ts'

/** How one session's statements are put to govern. */
export class Asking {
  #parts: SessionParts
  #line: Line
  #meaning: Meaning
  #channel: GateChannel
  #upstream: Upstream
  #redaction: Redaction
  #waiting = new AbortController()

  constructor(parts: SessionParts, line: Line, meaning: Meaning, channel: GateChannel, upstream: Upstream) {
    this.#parts = parts
    this.#line = line
    this.#meaning = meaning
    this.#channel = channel
    this.#upstream = upstream
    this.#redaction = new Redaction(parts.settings.redact.get(upstream.name) ?? [], redactionKey)
    parts.ending.addEventListener('abort', () => this.#waiting.abort())
  }

  /** `careful`: what was decided before may be about other settings than those in force. */
  asked(wanted: Wanted, bytesSha256: string, careful: boolean): Asked {
    const { session } = this.#parts.open
    const shown = this.#redaction.show(wanted.text, wanted.bindValues)
    return {
      session,
      upstream: this.#upstream,
      connector: 'postgres',
      decoded: wanted.decoded,
      payload: {
        protocol: 'postgres',
        upstream: session.upstream,
        upstreamIdentity: this.#upstream.identity,
        bytesSha256,
        bindValues: wanted.bindValues,
        settings: this.#meaning.settings,
      },
      text: shown.text,
      shownBindValues: shown.bindValues,
      ...this.#keyOf(wanted, careful),
    }
  }

  /** A key made before settings or catalog were seen to have changed says what the text meant then. */
  #keyOf({ key, keyEpoch }: Wanted, careful: boolean): Pick<Asked, 'key' | 'keyNamesCatalog' | 'confirmCatalog'> {
    const { epoch, unsure } = this.#meaning
    if (key === null || careful || unsure || keyEpoch !== epoch) return { key: null }
    return { key, keyNamesCatalog: namesCatalog(key), confirmCatalog: () => this.#confirmCatalog(epoch) }
  }

  /** Outside a transaction each look sees what is committed. Inside one it may see less, or more, and then the two are compared. */
  async #confirmCatalog(epoch: number): Promise<boolean> {
    if (this.#line.isIdle) return true
    const seen = await this.#meaning.isCatalogSeen(this.#channel).catch(() => false)
    return seen && this.#meaning.epoch === epoch
  }

  /** Nobody waits for people inside a transaction: it may hold locks, or keep rows from being cleaned up. The retry finds its grant. */
  attendance(): Attendance {
    if (this.#waiting.signal.aborted && !this.#parts.ending.aborted) this.#waiting = new AbortController()
    const isInside = !this.#line.isIdle || this.#line.executes > 0
    return {
      waitMs: isInside ? 0 : this.#parts.settings.waitMs,
      signal: this.#waiting.signal,
      pending: (request) => {
        if (isInside) return
        this.#line.notice({
          severity: 'NOTICE',
          code: pendingState,
          message: `waiting for approval: ${request.summary}`,
          detail: `Request ${request.id}, open until ${new Date(request.expiresAtMs).toISOString()}.`,
          hint: `A person decides at ${request.url}`,
        })
      },
    }
  }

  /** A CancelRequest while people are waited for: the wait ends. */
  cancelWait(): void {
    this.#waiting.abort()
  }
}
