import { bigScenarios } from './big.ts'
import { boundLaterScenarios } from './bound-later.ts'
import { copyScenarios } from './copy.ts'
import { extendedScenarios } from './extended.ts'
import { pipelineScenarios } from './pipelines.ts'
import type { Scenario } from './scenario.ts'
import { sessionScenarios } from './sessions.ts'
import { simpleScenarios } from './simple.ts'
import { typeScenarios } from './values.ts'

export const scenarios: readonly Scenario[] = [
  ...simpleScenarios,
  ...extendedScenarios,
  ...boundLaterScenarios,
  ...pipelineScenarios,
  ...typeScenarios,
  ...copyScenarios,
  ...sessionScenarios,
  ...bigScenarios,
]
