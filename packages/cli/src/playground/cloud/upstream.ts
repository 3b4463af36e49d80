import type { PlaygroundCloud } from './cloud.ts'

/** The host by which agents call the stand-in, as they would the real provider: only the gate dials elsewhere. */
export const cloudHost = 'backboard.railway.com'

/** The stand-in as an upstream of a sallyport.yaml that lies in the playground's state, under `upstreams:`. */
export function describeCloudUpstream({ port, ids }: Pick<PlaygroundCloud, 'port' | 'ids'>): string {
  return `  cloud:
    protocol: http
    connector: railway
    environment: production
    hosts: [${cloudHost}]
    graphql: [/graphql/v2]
    use: file:secrets/cloud.gate.token
    dial: 127.0.0.1:${port} # the stand-in; without this line and the next it would be the real one
    authorities: cloud/ca.pem
    tied: # what lies on each volume: deleting one needs a proven copy of that
      volume:
        ${ids.volumes.production}: production
        ${ids.volumes.staging}: staging
`
}
