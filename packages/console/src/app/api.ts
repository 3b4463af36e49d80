import * as z from 'zod/mini'

/** What the gate refused, in its own words. */
export class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.name = 'Refusal'
    this.status = status
  }
}

const refusalShape = z.object({
  error: z.object({ message: z.string(), notDone: z.optional(z.string()), next: z.optional(z.string()) }),
})

async function refusalOf(answer: Response): Promise<Refusal> {
  const said = refusalShape.safeParse(await answer.json().catch(() => null))
  if (!said.success) return new Refusal(answer.status, `The gate answered ${answer.status}.`)
  const { message, notDone, next } = said.data.error
  return new Refusal(answer.status, [message, notDone, next].filter(Boolean).join(' '))
}

/** What the gate says at this address. What is not of the shape is an error, never shown half. */
export async function ask<Shape extends z.ZodMiniType>(
  address: string,
  shape: Shape,
  signal?: AbortSignal,
): Promise<z.output<Shape>> {
  const answer = await fetch(address, { redirect: 'error', ...(signal === undefined ? {} : { signal }) })
  if (!answer.ok) throw await refusalOf(answer)
  return z.parse(shape, await answer.json())
}

/** Posts JSON with the token that only our own document holds. */
export async function post<Shape extends z.ZodMiniType>(
  address: string,
  content: unknown,
  shape: Shape,
): Promise<z.output<Shape>> {
  const answer = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': document.body.dataset['csrf'] ?? '' },
    body: JSON.stringify(content),
    redirect: 'error',
  })
  if (!answer.ok) throw await refusalOf(answer)
  return z.parse(shape, await answer.json())
}

export const saidShape = z.object({ message: z.optional(z.string()) })

/** A sentence for people, of whatever went wrong. */
export function explain(error: unknown): string {
  if (error instanceof Refusal) return error.message
  if (error instanceof TypeError) return 'The gate does not answer. Nothing was done that it had not begun.'
  return error instanceof Error ? error.message : 'Something went wrong.'
}
