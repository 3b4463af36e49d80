import { MessagePort, workerData } from 'node:worker_threads'
import { z } from 'zod'

/** The thread of a kill switch that says it listens, and ends as soon as it is told anything. */
const { port } = z.object({ port: z.instanceof(MessagePort) }).parse(workerData)
port.once('message', () => port.close())
port.postMessage({ says: 'listening' })
