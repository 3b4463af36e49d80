import { copyScenarios } from './copy.ts'
import { extendedScenarios } from './extended.ts'
import type { Scenario } from './scenario.ts'
import { sessionScenarios } from './sessions.ts'
import { simpleScenarios } from './simple.ts'
import { typeScenarios } from './types.ts'

export const scenarios: readonly Scenario[] = [
  ...simpleScenarios,
  ...extendedScenarios,
  ...typeScenarios,
  ...copyScenarios,
  ...sessionScenarios,
]
