export { openPostgresUpstreams, type PostgresUpstreamSettings } from './upstreams.ts'
