import { runSkewed } from './skewed-gate.ts'

await runSkewed(300_000)
