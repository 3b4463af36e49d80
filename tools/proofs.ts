import { runCommand } from './command.ts'
import { isRecord, parseRecord } from './json.ts'

/** What one `npm run prove:…` showed. */
export interface Proof {
  readonly name: string
  readonly held: boolean
  readonly seconds: number
  /** What it measured, in its own words; the end of its output when it said nothing. */
  readonly figure: string
  /** All that it said. */
  readonly output: string
}

const prefix = 'prove:'
const proofMsMax = 2 * 3_600_000
const outputLinesShown = 40

/** The proofs that a package.json names, in its order. */
export function findProofs(manifest: string): readonly string[] {
  const { scripts } = parseRecord(manifest)
  return Object.keys(isRecord(scripts) ? scripts : {}).filter((name) => name.startsWith(prefix))
}

/** The line of its output that a proof begins with `figure: `; the last one, when it says several. Null: it said none. */
export function figureOf(output: string): string | null {
  const lines = output.split('\n').filter((line) => line.startsWith('figure: '))
  return lines.at(-1)?.slice('figure: '.length).trim() ?? null
}

/** Runs one. One that ends well without a figure has shown nothing, so it did not hold. */
export async function runProof(root: string, name: string): Promise<Proof> {
  const startMs = performance.now()
  const { code, stdout, stderr } = await runCommand('npm', ['run', '--silent', name], { cwd: root, timeoutMs: proofMsMax })
  const output = `${stdout}${stderr}`
  const figure = figureOf(output)
  return {
    name,
    held: code === 0 && figure !== null,
    seconds: (performance.now() - startMs) / 1000,
    figure: figure ?? `it said no figure, and ended with ${code}`,
    output,
  }
}

/** The line of a proof, and below it the end of what it said, if it did not hold. */
export function describeProof({ name, held, seconds, figure, output }: Proof): string {
  const line = `${held ? 'ok  ' : 'FAIL'} ${name.slice(prefix.length).padEnd(10)} ${seconds.toFixed(0).padStart(5)} s  ${figure}`
  if (held) return line
  const end = output.trimEnd().split('\n').slice(-outputLinesShown)
  return [line, ...end.map((text) => `     ${text}`)].join('\n')
}
