import type { Scenario } from './scenario.ts'
import { simpleScenarios } from './simple.ts'

export const scenarios: readonly Scenario[] = [...simpleScenarios]
