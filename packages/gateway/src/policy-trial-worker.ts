import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { tryPolicy, type TrialInput } from './policy-trial.ts'

/** Made by the thread that started this one, from its own types: nothing of it came from outside. */
const inputShape = z.custom<TrialInput>((value) => typeof value === 'object' && value !== null && 'asks' in value)

parentPort?.postMessage(tryPolicy(inputShape.parse(workerData)))
