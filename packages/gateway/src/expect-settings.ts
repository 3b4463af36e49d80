import { type Expectation, parseExpectation } from '@sallyport/core'
import { z } from 'zod'
import type { ConfigMistake, FindPlace } from './config-mistake.ts'

const expectationsMax = 200

/** `expect: [coder runs read on orders-db]`: what has to hold before anything wider is proposed. */
export const expectSchema = z
  .array(
    z.string().transform((text, context) => {
      const parsed = parseExpectation(text)
      if (typeof parsed !== 'string') return parsed
      context.addIssue({ code: 'custom', message: parsed })
      return z.NEVER
    }),
    { error: 'expect is a list such as [coder runs read on orders-db]' },
  )
  .max(expectationsMax)
  .default([])

interface Named {
  readonly expect: readonly Expectation[]
  readonly agents: readonly { readonly name: string }[]
}

/** "Is refused" would hold of every name that is nobody's. */
export function checkExpectations(
  { expect, agents }: Named,
  upstreams: readonly string[],
  place: FindPlace,
): readonly ConfigMistake[] {
  const names = agents.map(({ name }) => name)
  return expect.flatMap(({ agent, upstream, text }, index) => {
    const at = place(['expect', index])
    if (!names.includes(agent))
      return [{ ...at, what: `"${text}": no agent is called "${agent}"`, hint: `agents are: ${names.join(', ') || 'none yet'}` }]
    if (upstreams.includes(upstream)) return []
    const hint = `upstreams are: ${upstreams.join(', ') || 'none yet'}`
    return [{ ...at, what: `"${text}": no upstream is called "${upstream}"`, hint }]
  })
}
