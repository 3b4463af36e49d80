import type { Node } from '@pgsql/types'

/** Names of all node types the parser's grammar knows. */
export type NodeName = Node extends infer Each ? (Each extends unknown ? keyof Each : never) : never
/** Those that are statements: each needs a handler. `RawStmt` only wraps one, the set operation and `PLAssignStmt` never leave the parser. */
export type StatementName = Exclude<Extract<NodeName, `${string}Stmt`>, 'RawStmt' | 'SetOperationStmt' | 'PLAssignStmt'>

/**
 * Node types that do nothing by themselves: what they hold is walked. A node that is neither here nor a statement makes its statement unknown:
 * nodes that only later stages of the server make can't come from a text, and a newer parser's nodes mean something nobody has read about.
 */
const quiet: readonly NodeName[] = [
  'A_ArrayExpr', 'A_Const', 'A_Expr', 'A_Indices', 'A_Indirection', 'A_Star', 'AccessPriv', 'Alias', 'ATAlterConstraint', 'BitString', 'BoolExpr', 'Boolean', 'BooleanTest', 'CTECycleClause',
  'CTESearchClause', 'CaseExpr', 'CaseWhen', 'CoalesceExpr', 'CollateClause', 'ColumnDef', 'ColumnRef', 'CommonTableExpr', 'Constraint', 'CreateOpClassItem', 'CurrentOfExpr', 'DefElem', 'Float', 'FuncCall',
  'FunctionParameter', 'GroupingFunc', 'GroupingSet', 'IndexElem', 'InferClause', 'Integer', 'IntoClause', 'JoinExpr', 'JsonAggConstructor', 'JsonArgument', 'JsonArrayAgg', 'JsonArrayConstructor',
  'JsonArrayQueryConstructor', 'JsonBehavior', 'JsonFormat', 'JsonFuncExpr', 'JsonIsPredicate', 'JsonKeyValue', 'JsonObjectAgg', 'JsonObjectConstructor', 'JsonOutput', 'JsonParseExpr', 'JsonReturning',
  'JsonScalarExpr', 'JsonSerializeExpr', 'JsonTable', 'JsonTableColumn', 'JsonTablePathSpec', 'JsonValueExpr', 'List', 'LockingClause', 'MergeSupportFunc', 'MergeWhenClause', 'MinMaxExpr', 'MultiAssignRef',
  'NamedArgExpr', 'NullTest', 'ObjectWithArgs', 'OnConflictClause', 'ParamRef', 'PartitionBoundSpec', 'PartitionCmd', 'PartitionElem', 'PartitionRangeDatum', 'PartitionSpec', 'PublicationObjSpec',
  'PublicationTable', 'RangeFunction', 'RangeSubselect', 'RangeTableFunc', 'RangeTableFuncCol', 'RangeTableSample', 'RangeVar', 'ResTarget', 'ReturningClause', 'ReturningOption', 'RoleSpec', 'RowExpr',
  'SQLValueFunction', 'SetToDefault', 'SortBy', 'StatsElem', 'String', 'SubLink', 'TableLikeClause', 'TriggerTransition', 'TypeCast', 'TypeName', 'VacuumRelation', 'WindowDef', 'WithClause', 'XmlExpr',
  'XmlSerialize', 'AlterTableCmd', 'SinglePartitionSpec',
]

export const quietNodes: ReadonlySet<string> = new Set(quiet)
