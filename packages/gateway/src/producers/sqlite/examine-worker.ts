import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { examine, takeTable, type Examination } from './examine.ts'

const checkSchema = z.object({
  ask: z.string(),
  is: z.string().exactOptional(),
  atLeast: z.number().exactOptional(),
  atMost: z.number().exactOptional(),
})
const wantedSchema: z.ZodType<Examination> = z.discriminatedUnion('what', [
  z.object({ what: z.literal('examine'), file: z.string(), checks: z.array(checkSchema) }),
  z.object({ what: z.literal('take'), file: z.string(), table: z.string(), to: z.string() }),
])

const wanted = wantedSchema.parse(workerData)
switch (wanted.what) {
  case 'examine':
    parentPort?.postMessage(examine(wanted))
    break
  case 'take':
    takeTable(wanted)
    parentPort?.postMessage(null)
}
