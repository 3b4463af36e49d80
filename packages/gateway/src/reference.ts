import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { promisify } from 'node:util'
import { SallyportError } from '@sallyport/core'

const secretBytesMax = 64 * 1024
const commandTimeoutMs = 10_000
const run = promisify(execFile)

/**
 * Fetches the secret that a reference of the configuration points at: `file:PATH`, `env:NAME` or `exec:COMMAND`.
 * Errors name the reference, never anything of what it gave.
 */
export async function resolveReference(reference: string, directory: string): Promise<string> {
  const at = reference.indexOf(':')
  const rest = reference.slice(at + 1)
  switch (reference.slice(0, at)) {
    case 'file':
      return clean(readSecretFile(isAbsolute(rest) ? rest : resolve(directory, rest)), reference)
    case 'env':
      return clean(process.env[rest] ?? '', reference)
    case 'exec':
      return clean(await runCommand(rest, directory), reference)
    default:
      // Not quoted: whoever mistook it may have written the credential itself there.
      throw unusable('of an unknown kind', 'is none of file:PATH, env:NAME and exec:COMMAND')
  }
}

function readSecretFile(path: string): string {
  let mode: number
  try {
    const status = statSync(path)
    if (status.size > secretBytesMax) throw unusable(`file:${path}`, 'is larger than 64 KiB')
    mode = status.mode
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw unusable(`file:${path}`, 'cannot be read')
  }
  if ((mode & 0o077) !== 0) throw unusable(`file:${path}`, 'can be read by other users of this machine; chmod 600 it')
  try {
    return readFileSync(path, 'utf8')
  } catch {
    throw unusable(`file:${path}`, 'cannot be read')
  }
}

async function runCommand(command: string, directory: string): Promise<string> {
  try {
    const { stdout } = await run('/bin/sh', ['-c', command], {
      cwd: directory,
      timeout: commandTimeoutMs,
      maxBuffer: secretBytesMax,
    })
    return stdout
  } catch {
    throw unusable('exec: reference', 'failed, took over 10 s or printed over 64 KiB')
  }
}

function clean(text: string, reference: string): string {
  const secret = text.trim()
  if (secret === '') throw unusable(reference, 'is empty')
  return secret
}

function unusable(reference: string, why: string): SallyportError {
  return new SallyportError(
    'upstream_unavailable',
    `The credential reference ${reference} ${why}.`,
    'The upstream was not opened.',
    'Mend the reference in sallyport.yaml, or what it points at.',
  )
}
