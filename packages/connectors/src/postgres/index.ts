import type { Connector } from '@sallyport/core'
import { describe } from './describe.ts'

export { warm } from './describe.ts'

export const postgres: Connector = { id: 'postgres', protocol: 'postgres', describe }
