import { type Frame, renderPage } from '../../frame.ts'
import { markup } from '../../markup.ts'

const home = 'Go to the requests'

/** An error for people: what happened, what was not done, what to do next. Nothing of the gate's inside. */
export function renderProblem(
  frame: Frame,
  problem: { readonly title: string; readonly message: string; readonly next: string },
): string {
  return renderPage(frame, {
    title: problem.title,
    path: null,
    width: 'narrow',
    scripts: ['page.js'],
    body: markup`<section class="card"><h1>${problem.title}</h1><p>${problem.message}</p>${problem.next.startsWith(home) ? '' : markup`<p class="dim">${problem.next}</p>`}<p><a href="/requests">${home}</a></p></section>`,
  })
}
