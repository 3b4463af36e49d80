import type { SallyportError } from '@sallyport/core'
import type { ZodError } from 'zod'

/** The exit codes of every command, as its help documents them. */
export const exitCodes = {
  /** Done, nothing wrong. */
  ok: 0,
  /** It was done and found something, or it failed. */
  failed: 1,
  /** The command line, the configuration or the input was wrong; nothing was started. */
  usage: 2,
  /** No gate is running, or it does not answer. */
  unreachable: 3,
  /** The gate heard and said no. */
  refused: 4,
} as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** What a command says when it cannot go on: what happened, what was not done, what to do next. Never carries a secret. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode
  readonly code: string
  readonly notDone: string
  readonly next: string
  constructor(exitCode: ExitCode, code: string, what: string, notDone: string, next: string, options?: ErrorOptions) {
    super(what, options)
    this.name = 'CommandFailure'
    this.exitCode = exitCode
    this.code = code
    this.notDone = notDone
    this.next = next
  }
}

/** Any thrown thing as a failure a person can act on. */
export function toFailure(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error
  if (isSallyportError(error)) {
    return new CommandFailure(exitCodes.failed, error.code, error.message, error.notDone, error.next, { cause: error })
  }
  if (isShapeError(error)) {
    const where = error.issues.map((issue) => `${issue.path.join('.') || 'value'}: ${issue.message}`).slice(0, 5)
    return new CommandFailure(
      exitCodes.failed,
      'unreadable',
      `An answer or a file did not have the shape it should have: ${where.join('; ')}.`,
      'Nothing was done with it.',
      'Check that gate and command line are of the same version.',
    )
  }
  const what = error instanceof Error ? error.message : String(error)
  return new CommandFailure(exitCodes.failed, 'internal', what, 'The command did not finish.', 'Run `sallyport doctor`.', {
    cause: error,
  })
}

/** By its shape: loading core with its policy engine, only to name a class, would cost every `--help` a third of a second. */
function isSallyportError(error: unknown): error is SallyportError {
  return error instanceof Error && error.name === 'SallyportError' && 'code' in error && 'notDone' in error && 'next' in error
}

function isShapeError(error: unknown): error is ZodError {
  return error instanceof Error && error.name === 'ZodError' && 'issues' in error
}

/** The text for standard error: three lines for people, one JSON line for programs. */
export function describeFailure(failure: CommandFailure, json: boolean): string {
  if (json) {
    const { code, message, notDone, next, exitCode } = failure
    return `${JSON.stringify({ error: { code, what: message, notDone, next, exitCode } })}\n`
  }
  return `error: ${failure.message}\n  not done: ${failure.notDone}\n  next:     ${failure.next}\n`
}
