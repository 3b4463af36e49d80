import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { resolveReference } from './reference.ts'

const secret = 'postgres://app:hunter2@db/orders'
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-reference-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

/** What a reference that cannot be used says; never anything of what it gave. */
async function refusal(reference: string): Promise<string> {
  const error: unknown = await resolveReference(reference, folder).then(
    () => new Error('it was taken'),
    (thrown: unknown) => thrown,
  )
  expect(error).toMatchObject({ code: 'upstream_unavailable' })
  const said = JSON.stringify(error, Object.getOwnPropertyNames(error)) + String(error instanceof Error ? error.cause : '')
  expect(said).not.toContain('hunter2')
  return error instanceof Error ? error.message : ''
}

test('a file, by a path from the configuration or from the root, without its end of line', async () => {
  const path = write('use', `${secret}\n`)
  expect(await resolveReference('file:use', folder)).toBe(secret)
  expect(await resolveReference(`file:${path}`, '/')).toBe(secret)
})

test('a file that others can read is refused, by group or by all, also behind a link', async () => {
  for (const mode of [0o640, 0o604, 0o666]) {
    write('open', secret, mode)
    expect(await refusal('file:open')).toContain('chmod 600')
  }
  symlinkSync(join(folder, 'open'), join(folder, 'link'))
  expect(await refusal('file:link')).toContain('chmod 600')
})

test('a file that is not there, is a folder, is empty or too large is refused', async () => {
  expect(await refusal('file:nowhere')).toContain('cannot be read')
  await refusal('file:.')
  write('empty', ' \n')
  expect(await refusal('file:empty')).toContain('is empty')
  write('large', 'hunter2'.repeat(20_000))
  expect(await refusal('file:large')).toContain('64 KiB')
})

test('an environment variable, when it is set', async () => {
  process.env['SALLYPORT_TEST_REFERENCE'] = ` ${secret} `
  try {
    expect(await resolveReference('env:SALLYPORT_TEST_REFERENCE', folder)).toBe(secret)
  } finally {
    delete process.env['SALLYPORT_TEST_REFERENCE']
  }
  expect(await refusal('env:SALLYPORT_TEST_REFERENCE')).toContain('is empty')
})

test('what a command prints, run beside the configuration', async () => {
  write('for-command', secret)
  expect(await resolveReference('exec:cat for-command', folder)).toBe(secret)
})

test('a command that fails, prints nothing or too much is refused; what it printed is not told', async () => {
  await refusal('exec:echo hunter; echo hunter2 >&2; exit 1')
  expect(await refusal('exec:true')).toContain('is empty')
  await refusal('exec:head -c 100000 /dev/zero | tr "\\0" x')
})

test('any other kind is refused: a credential itself is no reference', async () => {
  await refusal('keyring:orders')
  await refusal('nothing')
  await refusal(secret)
})
