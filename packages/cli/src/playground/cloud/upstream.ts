/** The host by which agents call the stand-in, as they would the real provider: only the gate dials elsewhere. */
export const cloudHost = 'backboard.railway.com'

/** Where the stand-in listens, and the ids of what it holds. */
export interface CloudPlace {
  readonly port: number
  readonly ids: { readonly volumes: { readonly production: string; readonly staging: string } }
}

/** The stand-in as an upstream of a sallyport.yaml that lies in the playground's state, under `upstreams:`. */
export function describeCloudUpstream({ port, ids }: CloudPlace): string {
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
