import { expect, test } from 'vitest'
import { readBuilt } from '../src/built.ts'

/** Script before anything is painted, gzipped. */
const bytesMax = 120_000

test('what is loaded before the first paint is small', () => {
  const built = readBuilt()
  if (built === null) throw new Error('the console is not built: node tools/run.js build-console')
  const bytes = built.first.reduce((sum, name) => sum + (built.files.get(name)?.packed.length ?? 0), 0)
  // React alone is half of it: less would mean that something was not counted.
  expect(bytes).toBeGreaterThan(60_000)
  expect(bytes).toBeLessThan(bytesMax)
})

test('no built file makes code at run time, and none is asked of anybody else', () => {
  for (const [name, file] of readBuilt()?.files ?? []) {
    if (!name.endsWith('.js')) continue
    const text = Buffer.from(file.bytes).toString('utf8')
    expect([name, /\beval\(/.exec(text)?.[0]]).toEqual([name, undefined])
    expect([name, /import\(["']https?:/.exec(text)?.[0]]).toEqual([name, undefined])
  }
})
