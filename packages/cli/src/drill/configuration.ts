import type { PlaygroundCloud } from '../playground/cloud/cloud.ts'
import { describeCloudUpstream } from '../playground/cloud/upstream.ts'

/** Where a drill's gate listens; the same over its restarts, since passkeys are bound to the people's address. */
export interface DrillPorts {
  readonly postgres: number
  readonly http: number
  readonly control: number
}

/** The limit that the drill's configuration sets. */
export const rowsWithoutPrompt = 50
/** Between an owner's own approval and its effect, ms: long enough to cancel in, on a busy machine too. */
export const coolOffMs = 3_000

/**
 * `stray` is bound to staging and may read the cloud's API; `coder` may do anything, and only guards stand before it. Solo mode has the cool-off
 * in it; team mode, into which it is narrowed, never lets an owner approve alone.
 */
export function describeDrill(mode: 'solo' | 'team', ports: DrillPorts, cloud: PlaygroundCloud): string {
  return `version: 1
mode: ${mode}
listen:
  postgres: 127.0.0.1:${ports.postgres}
  http: 127.0.0.1:${ports.http}
  control: localhost:${ports.control}
upstreams:
  production:
    protocol: postgres
    environment: production
    use: file:secrets/production.use
    protect: file:secrets/production.protect
  staging:
    protocol: postgres
    environment: staging
    use: file:secrets/staging.use
    protect: file:secrets/staging.protect
${describeCloudUpstream(cloud)}agents:
  stray:
    owner: ada
    may: [any staging, read cloud]
  coder:
    owner: ada
    may: [any staging, any production, any cloud]
limits:
  rowsWithoutPrompt: ${rowsWithoutPrompt}
coolOff: ${coolOffMs}ms
wait: 300ms
expiry: ${mode === 'solo' ? '60s' : '8s'}
retention: 1d
`
}
