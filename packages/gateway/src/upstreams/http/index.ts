export { openHttpUpstreams, type HttpUpstreamSettings } from './upstreams.ts'
