export { Keeper } from './keeper.ts'
export { clearLeftovers } from './leftovers.ts'
