import { z } from 'zod'
import { readBody } from './body.ts'
import { notFound, readId, type Site, type SiteApp } from './site.ts'

const orderShape = z.strictObject({
  what: z.enum(['copy', 'drill', 'extract', 'restore']),
  name: z.string().min(1).max(64),
  snapshot: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .default(null),
  thing: z.string().min(1).max(1024).nullable().default(null),
  beside: z.string().min(1).max(512).nullable().default(null),
})

/** Whole things: how they stand, and work on them, which takes longer than an answer may. */
export function addKeepingRoutes(app: SiteApp, { ports: { control } }: Site, by: string): void {
  app.get('/api/v1/keeping', async (context) => context.json({ kept: await control.keeping.targets() }))
  app.get('/api/v1/vault/targets', async (context) => context.json(await control.vaultTargets()))
  app.post('/api/v1/keeping/jobs', async (context) => {
    const order = await readBody(context, orderShape)
    return context.json(control.keeping.begin(order, by))
  })
  app.get('/api/v1/keeping/jobs/:id', (context) => {
    const job = control.keeping.job(readId(context))
    if (job === null) throw notFound()
    return context.json(job)
  })
}
