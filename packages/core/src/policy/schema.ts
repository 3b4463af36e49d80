/**
 * The Cedar schema that guards and scope are validated against. Actions of connectors (`postgres.drop_table`) are given at evaluation as
 * members of their impact's group, because one action can have different impacts (an UPDATE with and without a key).
 */
export const policySchema = `
entity Owner;
entity Agent in [Owner];
entity Environment;
entity Upstream in [Environment];

type Facts = {
  action: String,
  reversible: Bool,
  copy: String,
  copyProven: Bool,
  undoable: Bool,
  rowsCounted: Bool,
  rowsInWindow: Long,
  rowsWithoutPrompt: Long,
  approvals: Long,
  delayed: Bool,
  ownerAlone: Bool,
  restorePoint: Bool,
  drilled: Bool,
};

action "read", "write", "disrupt", "escalate", "destroy", "unknown"
  appliesTo { principal: [Agent], resource: [Upstream], context: Facts };
`
