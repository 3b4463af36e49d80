import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rolldown, type Plugin } from 'rolldown'
import { bundledPrograms } from './bundled-programs.ts'

/** What is put into the bundle besides our own sources: the libraries of many small modules. The rest is loaded from where npm put it. */
const bundledLibraries = /^(zod|hono|yaml|commander|@hono\/node-server|@sallyport\/\w+|@oxc-project\/runtime)(\/|$)/
const workerUrl = /new URL\('\.\/(switch-worker|parser-worker)\.ts', import\.meta\.url\)/g

/**
 * Makes one file of each program that tests start hundreds of times. Most of a start is to find and link six hundred modules, which this does once.
 * Everything else is as in the sources: each module knows its own place, so that whatever lies beside it is found there.
 */
export async function bundlePrograms(root: string): Promise<string> {
  const folder = join(root, 'node_modules', '.cache', 'sallyport-programs')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // Or each start would read every file a second time to see whether it is a module.
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n')
  const workers = ['packages/gateway/src/switch/switch-worker.ts', 'packages/connectors/src/postgres/parser-worker.ts']
  const entries = [...bundledPrograms, ...workers.map((source) => ({ name: nameOfWorker(source), source }))]
  const bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(entries.map(({ name, source }) => [name, join(root, source)])),
    platform: 'node',
    tsconfig: false,
    external: (id) => !id.startsWith('.') && !id.startsWith('/') && !bundledLibraries.test(id),
    plugins: [keepPlaces(root)],
  })
  await bundle.write({ dir: folder, format: 'esm', entryFileNames: '[name].js', chunkFileNames: 'chunk-[hash].js' })
  await bundle.close()
  return folder
}

function nameOfWorker(source: string): string {
  return source.slice(source.lastIndexOf('/') + 1).replace('.ts', '')
}

/** What a module asks about itself is answered as if it were still a file of its own. */
function keepPlaces(root: string): Plugin {
  const mains = new Map(bundledPrograms.map(({ name, source }) => [join(root, source), name]))
  return {
    name: 'keep-places',
    transform: (code, id) => {
      if (!code.includes('import.meta')) return null
      const main = mains.get(id)
      return code
        .replaceAll(workerUrl, "new URL('./$1.js', import.meta['url'])")
        .replaceAll('import.meta.main', main === undefined ? 'false' : `process.argv[1]?.endsWith('/${main}.js')`)
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href))
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(id)))
    },
  }
}
