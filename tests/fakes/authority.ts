/** The gate's own certificate authority, for tests of what a certificate is shown to. */
export { openAuthority, type Authority } from '../../packages/gateway/src/authority/index.ts'
