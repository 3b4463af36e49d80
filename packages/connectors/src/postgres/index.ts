import type { Connector } from '@sallyport/core'
import { count } from './count.ts'
import { describe } from './describe.ts'
import { resolve } from './resolve.ts'
import { restore } from './restore.ts'
import { snapshot } from './snapshot.ts'

export { warm } from './describe.ts'

export const postgres: Connector = { id: 'postgres', protocol: 'postgres', describe, resolve, snapshot, restore, count }
