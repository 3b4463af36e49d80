import { extendedScenarios } from './extended.ts'
import type { Scenario } from './scenario.ts'
import { simpleScenarios } from './simple.ts'

export const scenarios: readonly Scenario[] = [...simpleScenarios, ...extendedScenarios]
