/**
 * Runs in a worker thread with a large stack: hostile SQL can exhaust the stack or the memory of the parser, and then only this thread ends.
 * One text in, its operations out; the main thread never sees a parse tree.
 */
import { parentPort } from 'node:worker_threads'
import { loadModule, parsePlPgSQLSync, parseSync, scanSync } from 'libpg-query'
import { describeSql, unreadable } from './describe-text.ts'
import type { Answer } from './parser-answer.ts'
import { isQuestion } from './parser-answer.ts'
import type { Parser } from './statement-context.ts'
import type { Tree } from './parser-tree.ts'

/** Texts after which this thread asks to be replaced: whatever a refused text leaves in the parser's memory goes with it. */
const textsMax = 200_000

/** True when the parser failed in a way after which its memory can't be trusted. */
let isBroken = false
let texts = 0

function guarded<Result>(call: () => Result): Result {
  try {
    return call()
  } catch (error) {
    // an ordinary refusal is an error of the library's; the rest is the stack, the memory, an abort
    if (
      !(error instanceof Error) ||
      error instanceof RangeError ||
      error.name === 'RuntimeError' ||
      /abort|memory access|out of memory/i.test(error.message)
    )
      isBroken = true
    throw error
  }
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function treeOf(value: unknown): Tree {
  if (!isTree(value)) throw new TypeError('the parser gave no tree')
  return value
}

const parser: Parser = {
  parse: (sql) => guarded(() => treeOf(parseSync(sql))),
  parseRoutine: (sql) => guarded(() => treeOf(parsePlPgSQLSync(sql))),
  scan: (sql) =>
    guarded(() => scanSync(sql).tokens.map(({ start, end, text, tokenName }) => ({ start, end, text, name: tokenName }))),
}

function answer(id: number, sql: string): Answer {
  texts += 1
  try {
    const operations = describeSql(sql, parser)
    if (!isBroken) return { id, operations, isSpent: texts >= textsMax }
  } catch {
    // what it was does not matter: the text is unknown, and this thread is not asked again
  }
  return { id, operations: [unreadable('makes the parser fail')], isSpent: true }
}

await loadModule()
parentPort?.on('message', (message: unknown) => {
  if (isQuestion(message)) parentPort?.postMessage(answer(message.id, message.sql))
})
