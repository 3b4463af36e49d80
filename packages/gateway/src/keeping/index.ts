export { Keeper } from './keeper.ts'
export { keptNames } from './record.ts'
