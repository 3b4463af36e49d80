export { openPostgresUpstreams } from './upstreams.ts'
