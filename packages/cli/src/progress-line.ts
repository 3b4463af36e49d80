import type { Progress } from '@sallyport/core'

const lineEveryMs = 500

/** How far it is, with rate and time left, on one line of a terminal. */
export class ProgressLine {
  #step = ''
  #beganMs = 0
  #beganDone = 0
  #saidMs = 0

  show({ step, done, total }: Progress): void {
    const nowMs = performance.now()
    if (step !== this.#step) {
      this.end()
      ;[this.#step, this.#beganMs, this.#beganDone, this.#saidMs] = [step, nowMs, done, 0]
    }
    if (nowMs - this.#saidMs < lineEveryMs && done < total) return
    this.#saidMs = nowMs
    const seconds = (nowMs - this.#beganMs) / 1000
    const rate = seconds > 0 ? (done - this.#beganDone) / seconds : 0
    const left = rate > 0 ? `, ${Math.ceil((total - done) / rate)} s left` : ''
    const unit = step.endsWith('MiB') ? '/s' : ' bytes/s'
    const line = `${step}: ${total > 0 ? Math.floor((100 * done) / total) : 100} %, ${Math.round(rate).toLocaleString('en')}${unit}${left}`
    process.stderr.write(process.stderr.isTTY ? `\r${line.padEnd(70)}` : `${line}\n`)
  }

  end(): void {
    if (this.#step !== '' && process.stderr.isTTY) process.stderr.write('\n')
  }
}
