import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { systemCode, VaultFailure } from './failure.ts'
import type { OsUser } from './os-user.ts'

/** Names in one request: a line of the pipe that `sh` reads. */
const namesMax = 200
const answerMs = 30_000

/**
 * All that may be done with the immutable attribute, as a program of the shell: it needs no file of ours that the vault's user could not read.
 * It has the capability for the attribute and no other, and gives a file up only when the file's own time, its retention, is over.
 */
const program = `
set -f
cd "$1" || exit 1
isOurs() {
  for name; do
    case "$name" in
      *..*|*[!a-z0-9/.-]*) return 1 ;;
      chunks/*|manifests/*|retention/*|holds/*|expired/*) ;;
      *) return 1 ;;
    esac
  done
}
prepare() {
  find chunks manifests retention holds expired -type f -exec chattr +i -- {} + &&
  find chunks manifests retention holds expired -type d -exec chattr +a -- {} +
}
extend() {
  until=$1; shift
  isOurs "$@" || return 1
  for name; do
    [ "$(stat -c %Y -- "$name")" -lt "$until" ] || continue
    chattr -i -- "$name" && touch -m -d "@$until" -- "$name" && chattr +i -- "$name" || return 1
  done
}
free() {
  isOurs "$@" || return 1
  for name; do
    [ "$(stat -c %Y -- "$name")" -le "$(date +%s)" ] || return 1
    chattr -a -- "\${name%/*}" && chattr -i -- "$name" || return 1
  done
}
close() {
  isOurs "$@" || return 1
  for name; do chattr +a -- "\${name%/*}" || return 1; done
}
fasten() { isOurs "$@" && chattr +i -- "$@"; }
while read -r verb rest; do
  case "$verb" in
    prepare|extend|free|close|fasten) "$verb" $rest >/dev/null 2>&1 && echo done || echo failed ;;
    *) echo failed ;;
  esac
done
`

/** Makes copies unremovable by the immutable attribute of Linux. */
export class Fastener {
  readonly #child: ChildProcess
  readonly #waiting: ((answer: string) => void)[] = []
  #ended = false

  /** As root only: the capability is given to a process of the vault's user that does nothing else. */
  static start(folder: string, user: OsUser | null): Fastener {
    const only = '-all,+linux_immutable'
    const as = user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : []
    const limits = [`--bounding-set=${only}`, `--inh-caps=${only}`, `--ambient-caps=${only}`]
    const child = spawn('setpriv', [...as, ...limits, 'sh', '-c', program, 'sh', folder], {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    return new Fastener(child)
  }

  private constructor(child: ChildProcess) {
    this.#child = child
    const end = (): void => {
      this.#ended = true
      for (const answer of this.#waiting.splice(0)) answer('ended')
    }
    child.once('error', end)
    child.once('exit', end)
    child.stdin?.on('error', end)
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.#waiting.shift()?.(line))
  }

  /** Fastens everything that is there, and the folders. False: this machine or file system has no such attribute for us. */
  async prepare(): Promise<boolean> {
    return (await this.#ask('prepare')) === 'done'
  }

  /** @throws VaultFailure `storage_failed` */
  async fasten(names: readonly string[]): Promise<void> {
    for (let at = 0; at < names.length; at += namesMax) await this.#demand(`fasten ${names.slice(at, at + namesMax).join(' ')}`)
  }

  /** Sets a later retention. @throws VaultFailure `storage_failed` */
  async extend(name: string, untilSeconds: number): Promise<void> {
    await this.#demand(`extend ${untilSeconds} ${name}`)
  }

  /** Gives one file up whose retention is over, while `remove` runs. @throws VaultFailure `storage_failed` when it is not over */
  async free(name: string, remove: () => Promise<void>): Promise<void> {
    await this.#demand(`free ${name}`)
    try {
      await remove()
    } finally {
      await this.#demand(`close ${name}`)
    }
  }

  end(): void {
    this.#child.stdin?.end()
  }

  async #demand(request: string): Promise<void> {
    const answer = await this.#ask(request)
    if (answer === 'done') return
    throw new VaultFailure('storage_failed', `The immutable attribute could not be set as asked (${answer}).`)
  }

  #ask(request: string): Promise<string> {
    if (this.#ended) return Promise.resolve('ended')
    const { promise, resolve } = Promise.withResolvers<string>()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), answerMs)
    this.#waiting.push((answer) => {
      clearTimeout(timer)
      resolve(answer)
    })
    try {
      this.#child.stdin?.write(`${request}\n`)
    } catch (error) {
      this.#child.kill('SIGKILL')
      if (systemCode(error) === null) throw error
    }
    return promise
  }
}
