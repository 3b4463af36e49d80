export { type Expectation, expectationForm, parseExpectation, type TriedExpectation, tryExpectation } from './expectation.ts'
export { AskReader, type LoggedAsk, type UnreadAsk } from './logged-ask.ts'
export { compareTreatments, type Rehearsal, rehearse, type RehearsedChange } from './rehearse.ts'
export type { Rules, Treatment } from './rules.ts'
