import { expect } from 'vitest'
import type { BrowserPerson } from '../fakes/browser.ts'
import type { TestGate } from '../servers/gate.ts'

/** Enrols somebody at a real browser, by a one-time link. */
export async function enrolOnPage(person: BrowserPerson, link: string, name: string): Promise<void> {
  await person.page.goto(link)
  await person.page.fill('#name', name)
  await person.page.click('button[type=submit]')
  await person.page.waitForURL('**/requests')
}

/** Reads the request's page, expects that it shows exactly this text, and presses a button of it. Gives what the page says then. */
export async function decideOnPage(
  person: BrowserPerson,
  gate: TestGate,
  request: string,
  verdict: 'approve' | 'reject',
  text: string,
): Promise<string> {
  const { page } = person
  await page.goto(`${gate.controlUrl}/requests/${request}`)
  expect(await page.textContent('pre')).toBe(text)
  const answered = page.waitForResponse(
    (response) =>
      response.request().method() === 'POST' &&
      /\/(verdict|challenge)$/.test(response.url()) &&
      (response.url().endsWith('/verdict') || response.status() !== 200),
  )
  await page.click(`button[value=${verdict}]`)
  const status = (await answered).status()
  if (status !== 200) return `refused with ${status}`
  const state = page.locator('#state', { hasText: /approved|rejected|may run/ })
  await state.waitFor()
  return (await state.textContent()) ?? ''
}
