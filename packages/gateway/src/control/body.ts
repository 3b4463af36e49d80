import type { Context } from 'hono'
import type { z } from 'zod'
import { Refused } from './answer.ts'

/** The body, parsed with exactly this shape. What is wrong with it is not echoed. */
export async function readBody<Shape>(context: Context, shape: z.ZodType<Shape>): Promise<Shape> {
  const text = await context.req.text()
  const parsed = shape.safeParse(parseJson(text))
  if (!parsed.success) throw new Refused(400, 'unreadable', 'The gate does not understand what was sent.')
  return parsed.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text)
  } catch {
    return undefined
  }
}
