import { z } from 'zod'
import { readBody } from './body.ts'
import { readId, type Site, type SiteApp } from './site.ts'

const rotateShape = z.strictObject({ overlapMs: z.number().int().min(0).max(3_600_000).default(300_000) })

/** Which handles there are, never their secrets; and a new secret for one. */
export function addHandleRoutes(app: SiteApp, { ports: { control } }: Site, by: string): void {
  app.get('/api/v1/handles', (context) => context.json({ handles: control.handles?.() ?? [] }))
  app.post('/api/v1/handles/:id/rotate', async (context) => {
    const { overlapMs } = await readBody(context, rotateShape)
    const rotated = await control.rotateHandle?.(readId(context), overlapMs, by)
    return context.json(rotated ?? {})
  })
}
