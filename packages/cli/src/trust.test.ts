import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeAgentTrust } from './trust.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-trust-test-'))
const authorityFile = join(folder, 'ca.pem')
let authority = ''
let company = ''

beforeAll(() => {
  authority = makeCertificate('gate')
  company = makeCertificate('company')
  writeFileSync(authorityFile, authority)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function makeCertificate(name: string): string {
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`]
  const file = join(folder, `${name}.made`)
  execFileSync('openssl', [...args, '-keyout', `${file}.key`, '-out', file], { stdio: 'ignore' })
  return readFileSync(file, 'utf8').trim()
}

const count = (text: string): number => text.split('BEGIN CERTIFICATE').length - 1

test('one file replaces and holds the system’s roots too; one adds; both go with the agent', () => {
  const trust = makeAgentTrust(authorityFile, {})
  const bundle = readFileSync(trust.bundleFile, 'utf8')
  const roots = getCACertificates('system').length || getCACertificates('bundled').length
  expect(bundle).toContain(authority)
  expect(count(bundle)).toBeGreaterThan(Math.min(roots, 20))
  expect(readFileSync(trust.extraFile, 'utf8').trim()).toBe(authority)
  expect(statSync(trust.bundleFile).mode & 0o777).toBe(0o600)
  trust.remove()
  expect(existsSync(dirname(trust.bundleFile))).toBe(false)
})

test('what a person’s own variables added stays trusted; a key beside a certificate is not copied', () => {
  const both = join(folder, 'both.pem')
  writeFileSync(both, `${company}\n${readFileSync(join(folder, 'company.made.key'), 'utf8')}`)
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'REQUESTS_CA_BUNDLE']) {
    const trust = makeAgentTrust(authorityFile, { [name]: both })
    const bundle = readFileSync(trust.bundleFile, 'utf8')
    const extra = readFileSync(trust.extraFile, 'utf8')
    expect(bundle).toContain(company)
    expect(extra.includes(company)).toBe(name === 'NODE_EXTRA_CA_CERTS')
    expect(bundle + extra).not.toContain('PRIVATE KEY')
    trust.remove()
  }
})

test('a variable that names no file takes nothing away', () => {
  const trust = makeAgentTrust(authorityFile, { SSL_CERT_FILE: join(folder, 'none'), CURL_CA_BUNDLE: '' })
  expect(readFileSync(trust.bundleFile, 'utf8')).toContain(authority)
  trust.remove()
})
