import { afterAll, expect } from 'vitest'
import { appendFileSync, readFileSync } from 'node:fs'
const ticks = () => {
  const f = readFileSync('/proc/self/stat','utf8').split(') ')[1]!.split(' ')
  return { self: Number(f[11])+Number(f[12]), kids: Number(f[13])+Number(f[14]) }
}
const start = ticks(); const t0 = performance.now(); const up = process.uptime()
afterAll(() => {
  const now = ticks()
  const file = expect.getState().testPath ?? "?"
  // whole process for a fresh one
  appendFileSync(process.env.CPU_OUT ?? '/tmp/cpu/out.txt', `${((now.self-start.self)/100).toFixed(2)}\t${((now.kids-start.kids)/100).toFixed(2)}\t${((performance.now()-t0)/1000).toFixed(1)}\t${(start.self/100).toFixed(2)}\t${process.pid}\t${file.replace(process.cwd()+'/','')}\n`)
})
