import { appendFileSync, existsSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { runCommand } from './command.ts'
import { copyTree, listFiles, projectRoot } from './source-tree.ts'

const copy = copyTree(projectRoot)
afterAll(() => copy.remove())

test('the list has what is tracked, not what is ignored', () => {
  const files = listFiles(projectRoot)
  expect(files).toContain('packages/core/src/index.ts')
  expect(files.filter((file) => file.includes('node_modules'))).toEqual([])
})

test('in a copy, the workspaces’ names lead to the copy, and programs too', () => {
  expect(realpathSync(join(copy.root, 'node_modules/@sallyport/core'))).toBe(join(copy.root, 'packages/core'))
  expect(realpathSync(join(copy.root, 'node_modules/zod'))).toBe(realpathSync(join(projectRoot, 'node_modules/zod')))
  if (existsSync(join(projectRoot, 'node_modules/.bin/sallyport'))) {
    expect(realpathSync(join(copy.root, 'node_modules/.bin/sallyport'))).toBe(join(copy.root, 'packages/cli/bin/sallyport.js'))
  }
})

test('a change in the copy is what runs there, and the original stays as it was', async () => {
  const original = readFileSync(join(projectRoot, 'packages/core/src/impact.ts'), 'utf8')
  appendFileSync(join(copy.root, 'packages/core/src/impact.ts'), `\nexport const planted = 'seen'\n`)
  const script = `import('@sallyport/core').then((core) => console.log(core.planted))`
  const result = await runCommand(process.execPath, ['--input-type=module', '-e', script], {
    cwd: join(copy.root, 'packages/gateway'),
  })
  expect(result.stdout.trim()).toBe('seen')
  expect(readFileSync(join(projectRoot, 'packages/core/src/impact.ts'), 'utf8')).toBe(original)
})
