import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates } from 'node:tls'
import { writePrivateFile } from './state-directory.ts'

/** Certificates that an agent's programs trust so that the gate can open their HTTPS, as files for as long as the agent runs. */
export interface AgentTrust {
  /** The gate's authority and everything that was trusted before: for variables that replace what a program trusts. */
  readonly bundleFile: string
  /** The gate's authority and what was added before: for variables that add. */
  readonly extraFile: string
  remove(): void
}

/** Variables that replace a program's roots by a file: of OpenSSL and Go, curl, git, Python's requests, pip and httplib2, AWS's, Cargo, Nix. */
export const replacingVariables = [
  'SSL_CERT_FILE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'REQUESTS_CA_BUNDLE',
  'PIP_CERT',
  'HTTPLIB2_CA_CERTS',
  'AWS_CA_BUNDLE',
  'CARGO_HTTP_CAINFO',
  'NIX_SSL_CERT_FILE',
] as const
/** Variables that add to them: Node's and Deno's. */
export const addingVariables = ['NODE_EXTRA_CA_CERTS', 'DENO_CERT'] as const

const fileBytesMax = 16 * 1024 * 1024

/**
 * Writes both files into a folder of their own. A variable such as SSL_CERT_FILE makes a program forget the system's roots, so the bundle holds
 * those too, and what the person's own variables named.
 */
export function makeAgentTrust(authorityFile: string, inherited: NodeJS.ProcessEnv): AgentTrust {
  const authority = readFileSync(authorityFile, 'utf8')
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-trust-'))
  chmodSync(folder, 0o700)
  const bundleFile = join(folder, 'bundle.pem')
  const extraFile = join(folder, 'extra.pem')
  const added = readNamed(addingVariables, inherited)
  writePrivateFile(
    bundleFile,
    joinCertificates([authority, ...readRoots(), ...readNamed(replacingVariables, inherited), ...added]),
  )
  writePrivateFile(extraFile, joinCertificates([authority, ...added]))
  return { bundleFile, extraFile, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** The system's, as its own OpenSSL would; those that came with Node where the system keeps none. */
function readRoots(): readonly string[] {
  const system = getCACertificates('system')
  return system.length > 0 ? system : getCACertificates('bundled')
}

/** Files that the person's own variables name. One that cannot be read adds nothing, as it did before. */
function readNamed(names: readonly string[], inherited: NodeJS.ProcessEnv): readonly string[] {
  return names.flatMap((name) => {
    const path = inherited[name]
    if (path === undefined || path === '') return []
    try {
      return statSync(path).size > fileBytesMax ? [] : [readFileSync(path, 'utf8')]
    } catch {
      return []
    }
  })
}

/** Each certificate once. Whatever else is in those files, keys above all, is left out. */
function joinCertificates(texts: readonly string[]): string {
  const certificates = texts.flatMap(
    (text) => text.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [],
  )
  return `${[...new Set(certificates)].join('\n')}\n`
}
