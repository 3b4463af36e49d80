export { openHttpUpstreams, type HttpUpstreamSettings, type OpenHttpUpstreams } from './upstreams.ts'
