import { parentPort, workerData } from 'node:worker_threads'
import { tryPolicy, type TrialInput } from './policy-trial.ts'

// Made by the thread that started this one, from its own types: nothing of it came from outside.
const input: TrialInput = workerData
parentPort?.postMessage(tryPolicy(input))
