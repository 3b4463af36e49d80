import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import tailwind from '@tailwindcss/vite'
import { build, type Rollup } from 'vite'
import type { z } from 'zod'
import { builtFolder, type builtShape } from '../src/built.ts'
import { hashSources, packageFolder } from './sources.ts'

const appFolder = join(packageFolder, 'src', 'app')
const target = fileURLToPath(builtFolder)

/** Builds the app beside what is there and puts it in its place in one step: a gate that starts meanwhile finds the old or the new one, whole. */
export async function buildConsole(): Promise<void> {
  const sourcesSha256 = hashSources()
  mkdirSync(join(packageFolder, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(packageFolder, '.cache', 'build-'))
  try {
    const made = await bundle(folder)
    for (const name of made.files)
      writeFileSync(join(folder, `${name}.gz`), gzipSync(readFileSync(join(folder, name)), { level: 9 }))
    writeFileSync(join(folder, 'built.json'), JSON.stringify({ sourcesSha256, ...made }))
    // Made for its maker alone; the gate may run as somebody else.
    chmodSync(folder, 0o755)
    rmSync(target, { recursive: true, force: true })
    renameSync(folder, target)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function bundle(outDir: string): Promise<Omit<z.infer<typeof builtShape>, 'sourcesSha256'>> {
  const result = await build({
    root: appFolder,
    base: '/console/assets/',
    configFile: false,
    logLevel: 'error',
    cacheDir: join(packageFolder, '.cache', 'vite'),
    plugins: [tailwind()],
    build: {
      outDir,
      emptyOutDir: true,
      assetsDir: '',
      cssCodeSplit: false,
      // A link that preloads would need the page's nonce.
      modulePreload: false,
      target: 'es2024',
      rolldownOptions: {
        input: join(appFolder, 'main.tsx'),
        // Of core, what nobody asks for stays out: it is made for Node, and does nothing by being loaded.
        treeshake: { moduleSideEffects: (id: string) => !id.includes('/packages/core/') },
        output: {
          entryFileNames: '[name]-[hash].js',
          chunkFileNames: '[name]-[hash].js',
          assetFileNames: '[name]-[hash][extname]',
        },
      },
    },
  })
  const outputs = outputsOf(result)
  const files = outputs.map(({ fileName }) => fileName).filter((name) => /\.(?:js|css)$/.test(name))
  const script = outputs.find((output) => output.type === 'chunk' && output.isEntry)?.fileName
  const style = files.find((name) => name.endsWith('.css'))
  if (script === undefined || style === undefined) throw new Error('the build made no script or no style sheet')
  return { script, style, files, first: closureOf(script, outputs) }
}

/** A script and all that is loaded before it runs. */
function closureOf(script: string, outputs: ReturnType<typeof outputsOf>): string[] {
  const names = new Set([script])
  for (const name of names)
    for (const output of outputs)
      if (output.type === 'chunk' && output.fileName === name) for (const next of output.imports) names.add(next)
  return [...names]
}

function outputsOf(result: Awaited<ReturnType<typeof build>>): readonly (Rollup.OutputChunk | Rollup.OutputAsset)[] {
  if (Array.isArray(result)) return result.flatMap(({ output }) => output)
  if (!('output' in result)) throw new Error('the build watches instead of ending')
  return result.output
}
