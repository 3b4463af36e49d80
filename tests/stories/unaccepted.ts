import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { gatewayMain, type TestGate } from '../servers/gate.ts'

/** What a gate says that is started on this state without anybody's word for what is new in its file. */
export function startAsItIs({ directory, configuration }: TestGate): Promise<string> {
  const flags = [
    `--config=${configuration}`,
    `--state=${directory}`,
    `--vault-socket=${join(directory, 'run', 'vault.sock')}`,
    `--vault-token-file=${join(directory, 'vault.token')}`,
    '--exit-with-parent',
  ]
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [gatewayMain, ...flags], (error, _out, said) =>
      resolve(error === null ? 'it started' : said),
    )
    child.stdin?.end()
  })
}

export interface Answer {
  readonly status: number
  readonly text: string
}

/** A request of anybody on the machine, as it stands, to the people's listener. */
export async function askAsAnybody(gate: TestGate, path: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(new URL(path, gate.controlUrl), { ...init, redirect: 'manual' })
  return { status: response.status, text: await response.text() }
}
