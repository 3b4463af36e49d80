import type { StatementName } from './statement-nodes.ts'
import type { Handler } from './statement-context.ts'
import * as alter from './statement-alter-table.ts'
import * as data from './statement-data.ts'
import * as definition from './statement-definition.ts'
import * as drop from './statement-drop.ts'
import * as rights from './statement-rights.ts'
import * as routine from './statement-routine.ts'
import * as server from './statement-server.ts'
import * as session from './statement-session.ts'

const { called, definitionOver, objectChange, simpleDefinition } = definition
const { grave, heavy, roleChange } = rights
const keeps = 'changes a definition; nothing is lost'

/** Every statement PostgreSQL has. The type makes a missing one an error of compilation; one that the parser adds later is unknown. */
export const handlers: { readonly [Name in StatementName]: Handler } = {
  AlterCollationStmt: simpleDefinition('alter_collation', keeps, called('collation', 'collname')),
  AlterDatabaseRefreshCollStmt: heavy(
    'alter_database_refresh_collation',
    'declares the collation of a database up to date',
    () => true,
  ),
  AlterDatabaseSetStmt: server.describeAlterDatabaseSet,
  AlterDatabaseStmt: server.describeAlterDatabase,
  AlterDefaultPrivilegesStmt: grave('alter_default_privileges', 'changes who may use what is created from now on'),
  AlterDomainStmt: simpleDefinition('alter_domain', keeps, called('domain', 'typeName')),
  AlterEnumStmt: simpleDefinition('alter_type', 'adds or renames a value', called('type', 'typeName')),
  AlterEventTrigStmt: grave('alter_event_trigger', 'switches what watches definitions on or off', {
    nameOf: called('event_trigger', 'trigname'),
  }),
  AlterExtensionContentsStmt: grave('alter_extension', 'changes what an extension owns', {
    nameOf: called('extension', 'extname'),
  }),
  AlterExtensionStmt: heavy(
    'alter_extension_update',
    'replaces the code of an extension',
    () => true,
    called('extension', 'extname'),
  ),
  AlterFdwStmt: grave('alter_foreign_data_wrapper', 'changes how the server reaches outside', {
    nameOf: called('foreign_data_wrapper', 'fdwname'),
  }),
  AlterForeignServerStmt: grave('alter_server', 'changes where the server connects to', {
    nameOf: called('server', 'servername'),
  }),
  AlterFunctionStmt: routine.describeAlterFunction,
  AlterObjectDependsStmt: objectChange('alter_depends', 'write', keeps),
  AlterObjectSchemaStmt: objectChange('set_schema', 'write', 'moves it to another schema; what uses the old name breaks'),
  AlterOpFamilyStmt: definitionOver('alter_operator_family', keeps, called('operator_family', 'opfamilyname')),
  AlterOperatorStmt: simpleDefinition('alter_operator', keeps, () => ({ type: 'operator', name: '' })),
  AlterOwnerStmt: objectChange('alter_owner', 'escalate', 'gives it to another owner, with all rights'),
  AlterPolicyStmt: grave('alter_policy', 'changes which rows a role may see', { nameOf: called('policy', 'policy_name') }),
  AlterPublicationStmt: heavy('alter_publication', 'changes what is replicated', () => true, called('publication', 'pubname')),
  AlterRoleSetStmt: server.describeAlterRoleSet,
  AlterRoleStmt: roleChange('alter'),
  AlterSeqStmt: definition.sequenceChange('alter_sequence'),
  AlterStatsStmt: simpleDefinition('alter_statistics', keeps, called('statistics', 'defnames')),
  AlterSubscriptionStmt: server.describeAlterSubscription,
  AlterSystemStmt: server.describeAlterSystem,
  AlterTSConfigurationStmt: simpleDefinition(
    'alter_text_search_configuration',
    keeps,
    called('text_search_configuration', 'cfgname'),
  ),
  AlterTSDictionaryStmt: simpleDefinition('alter_text_search_dictionary', keeps, called('text_search_dictionary', 'dictname')),
  AlterTableMoveAllStmt: alter.describeMoveAll,
  AlterTableSpaceOptionsStmt: heavy(
    'alter_tablespace',
    'changes how a tablespace is planned for',
    () => true,
    called('tablespace', 'tablespacename'),
  ),
  AlterTableStmt: alter.describeAlterTable,
  AlterTypeStmt: simpleDefinition('alter_type', keeps, called('type', 'typeName')),
  AlterUserMappingStmt: grave('alter_user_mapping', 'changes stored credentials', {
    reversible: false,
    nameOf: called('server', 'servername'),
  }),
  CallStmt: routine.describeCall,
  CheckPointStmt: heavy('checkpoint', 'writes all changed pages out, with load', () => true),
  ClosePortalStmt: session.describeClosePortal,
  ClusterStmt: heavy('cluster', 'rewrites the table under a lock', (body) => body['relation'] !== undefined),
  CommentStmt: objectChange('comment', 'write', 'sets a comment'),
  CompositeTypeStmt: definition.describeCompositeType,
  ConstraintsSetStmt: session.describeConstraintsSet,
  CopyStmt: data.describeCopy,
  CreateAmStmt: grave('create_access_method', 'adds code to the server', { nameOf: called('access_method', 'amname') }),
  CreateCastStmt: definitionOver('create_cast', 'creates a conversion', () => ({ type: 'cast', name: '' })),
  CreateConversionStmt: definitionOver('create_conversion', 'creates a conversion', called('conversion', 'conversion_name')),
  CreateDomainStmt: simpleDefinition('create_domain', 'creates a domain', called('domain', 'domainname')),
  CreateEnumStmt: simpleDefinition('create_type', 'creates a type', called('type', 'typeName')),
  CreateEventTrigStmt: grave('create_event_trigger', 'hooks into every later definition by anybody', {
    nameOf: called('event_trigger', 'trigname'),
  }),
  CreateExtensionStmt: definition.describeCreateExtension,
  CreateFdwStmt: grave('create_foreign_data_wrapper', 'lets the server reach outside', {
    nameOf: called('foreign_data_wrapper', 'fdwname'),
  }),
  CreateForeignServerStmt: grave('create_server', 'lets the server connect elsewhere', {
    nameOf: called('server', 'servername'),
  }),
  CreateForeignTableStmt: grave('create_foreign_table', 'makes outside data, files or programs look like a table', {
    nameOf: called('server', 'servername'),
  }),
  CreateFunctionStmt: routine.describeCreateFunction,
  CreateOpClassStmt: definitionOver(
    'create_operator_class',
    'creates an operator class',
    called('operator_class', 'opclassname'),
  ),
  CreateOpFamilyStmt: simpleDefinition(
    'create_operator_family',
    'creates an operator family',
    called('operator_family', 'opfamilyname'),
  ),
  CreatePLangStmt: grave('create_language', 'adds a language to the server', { nameOf: called('language', 'plname') }),
  CreatePolicyStmt: grave('create_policy', 'changes which rows a role may see', { nameOf: called('policy', 'policy_name') }),
  CreatePublicationStmt: heavy(
    'create_publication',
    'publishes data for replication',
    () => true,
    called('publication', 'pubname'),
  ),
  CreateRangeStmt: definitionOver('create_type', 'creates a type', called('type', 'typeName')),
  CreateRoleStmt: roleChange('create'),
  CreateSchemaStmt: definition.describeCreateSchema,
  CreateSeqStmt: definition.sequenceChange('create_sequence'),
  CreateStatsStmt: simpleDefinition('create_statistics', 'creates statistics', called('statistics', 'defnames')),
  CreateStmt: definition.describeCreateTable,
  CreateSubscriptionStmt: grave('create_subscription', 'makes the server pull data from elsewhere', {
    nameOf: called('subscription', 'subname'),
  }),
  CreateTableAsStmt: definition.describeCreateTableAs,
  CreateTableSpaceStmt: grave('create_tablespace', 'uses a directory of the server', {
    nameOf: called('tablespace', 'tablespacename'),
  }),
  CreateTransformStmt: grave('create_transform', 'adds code between a type and a language'),
  CreateTrigStmt: definition.describeTrigger,
  CreateUserMappingStmt: grave('create_user_mapping', 'stores credentials', { nameOf: called('server', 'servername') }),
  CreatedbStmt: server.describeCreateDatabase,
  DeallocateStmt: session.describeDeallocate,
  DeclareCursorStmt: session.describeDeclareCursor,
  DefineStmt: definition.describeDefine,
  DeleteStmt: data.describeDelete,
  DiscardStmt: session.describeDiscard,
  DoStmt: routine.describeDo,
  DropOwnedStmt: drop.describeDropOwned,
  DropRoleStmt: roleChange('drop'),
  DropStmt: drop.describeDrop,
  DropSubscriptionStmt: drop.describeDropSubscription,
  DropTableSpaceStmt: drop.describeDropTablespace,
  DropUserMappingStmt: drop.describeDropUserMapping,
  DropdbStmt: drop.describeDropDatabase,
  ExecuteStmt: session.describeExecute,
  ExplainStmt: session.describeExplain,
  FetchStmt: session.describeFetch,
  GrantRoleStmt: rights.describeGrantRole,
  GrantStmt: rights.describeGrant,
  ImportForeignSchemaStmt: grave('import_foreign_schema', 'makes outside tables look like tables here', {
    nameOf: called('server', 'server_name'),
  }),
  IndexStmt: definition.describeIndex,
  InsertStmt: data.describeInsert,
  ListenStmt: session.describeListen,
  LoadStmt: grave('load', 'loads native code into the server', { reversible: false, nameOf: called('server_file', 'filename') }),
  LockStmt: heavy('lock_table', 'locks tables against others', () => true),
  MergeStmt: data.describeMerge,
  NotifyStmt: session.describeNotify,
  PrepareStmt: session.describePrepare,
  ReassignOwnedStmt: grave('reassign_owned', 'gives everything a role owns to another'),
  RefreshMatViewStmt: definition.describeRefresh,
  ReindexStmt: rights.describeReindex,
  RenameStmt: definition.describeRename,
  ReplicaIdentityStmt: heavy('replica_identity', 'changes what replication writes', () => true),
  ReturnStmt: session.describeReturn,
  RuleStmt: definition.describeRule,
  SecLabelStmt: objectChange('security_label', 'escalate', 'changes a security label, which may mask or protect data'),
  SelectStmt: data.describeSelect,
  TransactionStmt: session.describeTransaction,
  TruncateStmt: data.describeTruncate,
  UnlistenStmt: session.describeListen,
  UpdateStmt: data.describeUpdate,
  VacuumStmt: rights.describeVacuum,
  VariableSetStmt: session.describeSet,
  VariableShowStmt: session.describeShow,
  ViewStmt: definition.describeView,
}
