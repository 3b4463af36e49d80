export { httpProtocol } from './listen.ts'
export type { Certificates, HttpSettings, Leaf } from './settings.ts'
export type { GovernedUpstream, HttpUpstreams } from './upstreams.ts'
