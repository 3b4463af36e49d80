import { parentPort } from 'node:worker_threads'
import { lintSource } from '@secretlint/core'
import { rules } from '@secretlint/secretlint-rule-preset-recommend'
import { z } from 'zod'

/**
 * Runs secretlint's rules on texts, one after another. In a worker, since it leaves performance marks behind, and since patterns that are not
 * ours may run for very long on a text that is made for it: then whoever waits ends the worker.
 */
const askShape = z.object({ text: z.string() })

/** Its rule that lets a comment in the text switch the others off is left out: whoever hides a credential would write that comment. */
const config = {
  rules: rules.filter(({ meta }) => !meta.id.endsWith('filter-comments')).map((rule) => ({ id: rule.meta.id, rule })),
}

parentPort?.on('message', (message: unknown) => {
  const { text } = askShape.parse(message)
  lintSource({
    source: { filePath: 'text', content: text, ext: '', contentType: 'text' },
    options: { config, noPhysicFilePath: true },
  })
    .then(({ messages }) => {
      parentPort?.postMessage(
        messages.map(({ ruleId, range }) => ({ rule: ruleId.replace(/^.*secretlint-rule-/, ''), from: range[0], to: range[1] })),
      )
    })
    .catch(() => parentPort?.postMessage(null))
})
