export { openPostgresUpstreams, type OpenPostgresUpstreams } from './upstreams.ts'
