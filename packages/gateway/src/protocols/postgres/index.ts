export { postgresProtocol } from './listen.ts'
export type { PostgresSettings } from './session-parts.ts'
export type { Backend, PostgresUpstreams } from './upstreams.ts'
