import type { HttpAccess, Operation } from '@sallyport/core'
import { z } from 'zod'

/** What the API says of a volume: shown to people, and trusted for nothing. Names can be changed by whoever may change things there. */
export interface VolumeFacts {
  readonly name: string
  readonly project: string
  /** Where it is mounted: environment, service, path, size. One line each. */
  readonly mounts: readonly VolumeMount[]
}

export interface VolumeMount {
  readonly environment: string
  readonly service: string
  readonly path: string
  readonly megabytes: number
}

const volumePattern = /^[A-Za-z0-9_-]{1,128}$/
const answerBytesMax = 4 * 1024 * 1024

/** The one action whose copy is a base backup. */
export const volumeDelete = 'railway.volumeDelete'

/** Id of the volume that the operation deletes; null for anything else, and for what is no id. */
export function volumeOf(operation: Operation): string | null {
  if (operation.action !== volumeDelete) return null
  const volumes = operation.resources.filter(({ type }) => type === 'volume')
  const [volume] = volumes
  if (volume === undefined || volumes.length > 1) return null
  const id = volume.identity ?? volume.name
  return volumePattern.test(id) ? id : null
}

/** No field of the API gives one volume by its id, so the projects that the gate's token can see are looked through. */
const query = `query Volumes { projects(first: 200) { edges { node { name volumes(first: 200) { edges { node { id name
  volumeInstances(first: 20) { edges { node { mountPath sizeMB environment { name } service { name } } } } } } } } } } }`

const named = z.object({ name: z.string() })
const edges = <Node extends z.ZodType>(node: Node): z.ZodObject<{ edges: z.ZodArray<z.ZodObject<{ node: Node }>> }> =>
  z.object({ edges: z.array(z.object({ node })) })
const instanceSchema = z.object({
  mountPath: z.string(),
  sizeMB: z.number(),
  environment: named,
  service: named.nullish(),
})
const answerSchema = z.object({
  data: z.object({
    projects: edges(
      z.object({
        name: z.string(),
        volumes: edges(z.object({ id: z.string(), name: z.string(), volumeInstances: edges(instanceSchema) })),
      }),
    ),
  }),
})

/** Asks the API what a volume is. Null when it does not say: the gate's token may be too narrow for that. */
export async function askVolume(access: HttpAccess, volume: string, path: string): Promise<VolumeFacts | null> {
  const body = Buffer.from(JSON.stringify({ query, operationName: 'Volumes' }))
  const answer = await access.ask('POST', path, { 'content-type': 'application/json', accept: 'application/json' }, body)
  if (answer.status !== 200 || answer.body.length > answerBytesMax) return null
  const projects = readAnswer(answer.body)
  for (const { node: project } of projects?.edges ?? []) {
    const found = project.volumes.edges.find(({ node }) => node.id === volume)?.node
    if (found === undefined) continue
    const mounts = found.volumeInstances.edges.map(({ node }) => ({
      environment: node.environment.name,
      service: node.service?.name ?? 'no service',
      path: node.mountPath,
      megabytes: node.sizeMB,
    }))
    return { name: found.name, project: project.name, mounts }
  }
  return null
}

function readAnswer(body: Uint8Array): z.infer<typeof answerSchema>['data']['projects'] | null {
  try {
    return answerSchema.parse(JSON.parse(Buffer.from(body).toString('utf8'))).data.projects
  } catch {
    return null
  }
}
