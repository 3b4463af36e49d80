import { parseArgs } from 'node:util'
import { unpackFolder } from './unpack.ts'

/** `node unpack-program.ts FROM TO [--outward-links]`: what `sallyport vault unpack` runs. One JSON document, and progress on standard error. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'outward-links': { type: 'boolean', default: false } },
})
const [from, to] = positionals
const report = ({ done, total }: { readonly done: number; readonly total: number }): void => {
  process.stderr.write(`${JSON.stringify({ progress: { done, total } })}\n`)
}
try {
  if (from === undefined || to === undefined || positionals.length > 2)
    throw new Error('it takes a folder that was restored, and a new one')
  const options = { report, signal: new AbortController().signal, outwardLinks: values['outward-links'] }
  process.stdout.write(`${JSON.stringify(await unpackFolder(from, to, options))}\n`)
} catch (error) {
  const message = error instanceof Error ? error.message : 'it failed'
  process.stderr.write(`${JSON.stringify({ error: 'not_unpacked', message: `It was not unpacked: ${message}.` })}\n`)
  process.exitCode = 1
}
