import type { ImpactKind, Operation } from '@sallyport/core'
import { severity } from '@sallyport/core/impact'
