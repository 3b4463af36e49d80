/** What satisfies a guard. One not understood is a denial. */
export type Obligation = 'snapshot' | 'person' | 'people' | 'delay'
export const obligations: readonly Obligation[] = ['snapshot', 'person', 'people', 'delay']

export interface Guard {
  readonly id: string
  readonly why: string
  /** Null: nothing an agent or the gate can do satisfies it. */
  readonly obligation: Obligation | null
}

/** A guard and its rule in Cedar. Id, sentence and obligation are its annotations: written here as data, so that a start need not parse them. */
export interface GuardRule extends Guard {
  readonly rule: string
}

/**
 * The shipped guards (DESIGN §5). Each is `forbid … unless`; since forbid beats permit, no added permit weakens them.
 * `why` is the sentence a person reads, `obligation` what would satisfy it: `snapshot`, `person`, `people` (two, or one and a delay), `delay`.
 * No arithmetic: a policy that errors is skipped by Cedar, and any error is a denial here.
 */
export const shippedGuards: readonly GuardRule[] = [
  {
    id: 'destroy-needs-proven-copy',
    why: 'What destroys in production runs only when a copy of what it destroys was sealed in the vault and proven.',
    obligation: 'snapshot',
    rule: `forbid (principal, action in Action::"destroy", resource in Environment::"production")
unless { context.copyProven };`,
  },
  {
    id: 'destroy-needs-person',
    why: 'What destroys in production is approved by a person, unless it changes few rows that can be put back.',
    obligation: 'person',
    rule: `forbid (principal, action in Action::"destroy", resource in Environment::"production")
unless {
  context.approvals >= 1 ||
  (context.copy == "rows" && context.rowsCounted && context.rowsInWindow <= context.rowsWithoutPrompt)
};`,
  },
  {
    id: 'irreversible-needs-people',
    why: 'What no copy can undo needs two people, or one person and a delay.',
    obligation: 'people',
    rule: `forbid (principal, action in [Action::"destroy", Action::"write"], resource in Environment::"production")
when { !context.reversible && !context.undoable }
unless { context.approvals >= 2 || (context.approvals >= 1 && context.delayed) };`,
  },
  {
    id: 'unknown-needs-people',
    why: 'What the gate cannot read is treated as what no copy can undo: two people, or one person and a delay, or one person and a restore point.',
    obligation: 'people',
    rule: `forbid (principal, action in Action::"unknown", resource in Environment::"production")
unless {
  context.approvals >= 2 ||
  (context.approvals >= 1 && (context.delayed || context.restorePoint))
};`,
  },
  {
    id: 'escalate-needs-person',
    why: "Credentials, roles, exposure, protections and code execution in production are a person's decision.",
    obligation: 'person',
    rule: `forbid (principal, action in Action::"escalate", resource in Environment::"production")
unless { context.approvals >= 1 };`,
  },
  {
    id: 'disrupt-needs-person',
    why: "An outage in production is a person's decision.",
    obligation: 'person',
    rule: `forbid (principal, action in Action::"disrupt", resource in Environment::"production")
unless { context.approvals >= 1 };`,
  },
  {
    id: 'owner-alone-waits',
    why: 'Who alone approves the irreversible request of their own agent waits for a cool-off that anyone can cancel.',
    obligation: 'delay',
    rule: `forbid (principal, action in [Action::"destroy", Action::"unknown", Action::"escalate"], resource in Environment::"production")
when { context.ownerAlone && !context.reversible }
unless { context.delayed };`,
  },
  {
    id: 'destroy-needs-drilled-restore-point',
    why: 'Here, what destroys runs only while a restore point is there whose drill passed lately enough: sallyport drill restore makes one.',
    obligation: null,
    rule: `forbid (principal, action in [Action::"destroy", Action::"unknown"], resource)
unless { context.drilled };`,
  },
]

/** The text of a guard's policy, annotations and all. */
export function guardText({ id, why, obligation, rule }: GuardRule): string {
  const annotations = [`@id(${JSON.stringify(id)})`, `@why(${JSON.stringify(why)})`]
  if (obligation !== null) annotations.push(`@obligation(${JSON.stringify(obligation)})`)
  return [...annotations, rule].join('\n')
}

/** All of them as one text, which is part of the policy's hash. */
export const shippedGuardText = `\n${shippedGuards.map(guardText).join('\n\n')}\n`
