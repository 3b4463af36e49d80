export { httpProtocol } from './listen.ts'
export type { HttpSettings } from './settings.ts'
