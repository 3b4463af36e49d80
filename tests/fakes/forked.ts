import { fork, type ChildProcess } from 'node:child_process'
import type { z } from 'zod'
import { childEnvironment } from './child-environment.ts'

/** A process that we talk to over Node's own channel; it ends when we do. */
export class Forked {
  readonly #child: ChildProcess
  readonly #messages: unknown[] = []
  #wake: (() => void) | null = null
  #ended: string | null = null

  constructor(program: string, args: readonly string[] = []) {
    this.#child = fork(program, [...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: childEnvironment() })
    this.#child.on('message', (message: unknown) => {
      this.#messages.push(message)
      this.#wake?.()
    })
    this.#child.once('exit', (code, signal) => {
      this.#ended = `${program} ended with ${signal ?? code}`
      this.#wake?.()
    })
  }

  send(message: object): void {
    this.#child.send(message)
  }

  /** The next message, which must be of this shape. */
  async next<Shape>(shape: z.ZodType<Shape>): Promise<Shape> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined) return shape.parse(message)
      if (this.#ended !== null) throw new Error(this.#ended)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async ask<Shape>(message: object, shape: z.ZodType<Shape>): Promise<Shape> {
    this.send(message)
    return this.next(shape)
  }

  async stop(): Promise<void> {
    if (this.#ended !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.disconnect()
    await ended
  }
}
