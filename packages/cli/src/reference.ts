import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { CommandFailure, exitCodes } from './failure.ts'

/** A secret is small; more is a mistake. */
const secretBytesMax = 64 * 1024
const executionTimeoutMs = 15_000

/** What `file:PATH`, `env:NAME` or `exec:COMMAND` stands for. Paths are relative to `folder`. The secret is in the result and nowhere else. */
export async function resolveReference(reference: string, folder: string): Promise<string> {
  const at = reference.indexOf(':')
  const kind = reference.slice(0, at)
  const rest = reference.slice(at + 1)
  if (rest === '') throw unusable(`"${kind === '' ? 'this' : kind}" is no reference.`)
  switch (kind) {
    case 'env':
      return readEnvironment(rest)
    case 'file':
      return readSecretFile(resolve(folder, rest))
    case 'exec':
      return await execute(rest, folder)
    default:
      // It may well be the secret itself, so it is not repeated.
      throw unusable('What was given is not a reference.')
  }
}

function unusable(what: string): CommandFailure {
  return new CommandFailure(
    exitCodes.usage,
    'unreadable',
    what,
    'No credential was read.',
    'Give env:NAME, file:PATH or exec:COMMAND, or send the URL on standard input. Never the secret itself: other users can see command lines.',
  )
}

function readEnvironment(name: string): string {
  const value = process.env[name]?.trim()
  if (value === undefined || value === '') throw unusable(`The environment has no ${name}.`)
  return value
}

function readSecretFile(path: string): string {
  try {
    if (statSync(path).size > secretBytesMax) throw unusable(`${path} is too large to hold a database URL.`)
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (error instanceof CommandFailure) throw error
    throw unusable(`${path} cannot be read.`)
  }
}

async function execute(command: string, folder: string): Promise<string> {
  try {
    const result = await promisify(execFile)('/bin/sh', ['-c', command], {
      cwd: folder,
      timeout: executionTimeoutMs,
      maxBuffer: secretBytesMax,
    })
    return result.stdout.trim()
  } catch {
    // Its output may hold the secret, so it is not repeated.
    throw unusable('The exec: command failed, took longer than 15 s or printed too much.')
  }
}

/** Reads standard input to its end. For secrets, which have no place on a command line. */
export async function readStandardInput(what: 'database URL' | 'token' | 'handle'): Promise<string> {
  if (process.stdin.isTTY)
    process.stderr.write(`Paste the ${what}, then press Enter and Ctrl-D (it is not shown on purpose anywhere else):\n`)
  let text = ''
  process.stdin.setEncoding('utf8')
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (text.length > secretBytesMax) throw unusable(`Standard input is too large to hold a ${what}.`)
  }
  return text.trim()
}
