export { Keeper } from './keeper.ts'
export { keptNames } from './record.ts'
export { clearLeftovers } from './leftovers.ts'
