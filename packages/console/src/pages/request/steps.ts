import type { AskedOperation, PlanStep } from '@sallyport/core'
import { fence, showLine } from '../../fence.ts'
import { markup, type Markup } from '../../markup.ts'
import { copySentence, limitSentence } from '../../words.ts'
import { renderBindValues, renderOperation } from './operation.ts'

/** A plan, step by step: each with the agent's own text in a fence of its own, so that none can pass for two. */
export function renderSteps(steps: readonly PlanStep[], operations: readonly AskedOperation[]): readonly Markup[] {
  let seen = 0
  const shown = steps.map((step, index) => {
    const own = operations.slice(seen, seen + step.operationsCount)
    seen += step.operationsCount
    return renderStep(step, own, index, steps.length)
  })
  const order = markup`<section class="card"><p>Each step runs once, in this order, and only after the one before it succeeded. One that fails ends the plan. Anything else the agent sends is asked about by itself.</p></section>`
  // A gate never makes such a question; what is signed and not shown would be a lie all the same.
  const rest = operations.slice(seen)
  return rest.length === 0
    ? [order, ...shown]
    : [
        order,
        ...shown,
        markup`<section class="card" data-incomplete="true"><h2>Belongs to no step: do not approve</h2>${rest.map((operation, index) => renderOperation(operation, index, rest.length))}</section>`,
      ]
}

/** Every field of a step. One that is added and not shown is a type error. */
function renderStep(step: PlanStep, operations: readonly AskedOperation[], index: number, count: number): Markup {
  const { request, challenge, protocol, text, bindValues, operationsCount, rowsMax, copy, ...unseen } = step
  const everythingIsShown: Readonly<Record<string, never>> = unseen
  const isWhole = operationsCount === operations.length && Object.keys(everythingIsShown).length === 0
  return markup`<section class="card"${isWhole ? '' : markup` data-incomplete="true"`}><h2>Step ${index + 1} of ${count}</h2>
${fence('What the agent sent', text)}${renderBindValues(bindValues)}${operations.map((operation, place) => renderOperation(operation, place, operations.length))}
<dl><dt>Copy</dt><dd>${copySentence({ copy, protocol })} <span class="dim">(${copy})</span></dd>
<dt>Limit</dt><dd>${limitSentence({ rowsMax, protocol })}</dd>
<dt>By</dt><dd>${showLine(protocol)}, ${operationsCount === 1 ? 'one operation' : `${operationsCount} operations`}</dd>
<dt>Request</dt><dd><a href="/requests/${request}"><code>${showLine(request)}</code></a></dd><dt>Mark</dt><dd><code class="fine">${showLine(challenge)}</code></dd></dl></section>`
}
