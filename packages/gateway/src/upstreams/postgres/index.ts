export { readTarget } from './target.ts'
export { openPostgresUpstreams, type OpenPostgresUpstreams } from './upstreams.ts'
