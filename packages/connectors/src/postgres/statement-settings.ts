import type { ImpactKind } from '@sallyport/core'
import { isOffText } from './parser-tree.ts'

/** What setting a parameter for the session or transaction does. */
export interface SettingImpact {
  readonly kind: ImpactKind
  readonly reversible: boolean
  readonly why: string
}

/**
 * Parameters that change nothing but how this session is served: time-outs, formats, planner and memory knobs. An allow-list: a parameter
 * that is neither here nor of an extension (a name with a dot) is `escalate`.
 */
const harmless = new Set(
  `statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout deadlock_timeout
   timezone timezone_abbreviations datestyle intervalstyle application_name client_min_messages extra_float_digits bytea_output xmlbinary
   xmloption lc_messages lc_monetary lc_numeric lc_time default_text_search_config work_mem maintenance_work_mem temp_buffers
   hash_mem_multiplier logical_decoding_work_mem vacuum_buffer_usage_limit effective_cache_size effective_io_concurrency
   maintenance_io_concurrency random_page_cost seq_page_cost cpu_tuple_cost cpu_index_tuple_cost cpu_operator_cost parallel_setup_cost
   parallel_tuple_cost min_parallel_table_scan_size min_parallel_index_scan_size max_parallel_workers max_parallel_workers_per_gather
   max_parallel_maintenance_workers parallel_leader_participation debug_parallel_query force_parallel_mode default_statistics_target
   constraint_exclusion cursor_tuple_fraction from_collapse_limit join_collapse_limit plan_cache_mode recursive_worktable_factor geqo
   geqo_threshold geqo_effort geqo_pool_size geqo_generations geqo_selection_bias geqo_seed jit jit_above_cost jit_inline_above_cost
   jit_optimize_above_cost jit_expressions jit_tuple_deforming gin_fuzzy_search_limit gin_pending_list_limit statement_mem
   default_transaction_isolation default_transaction_deferrable transaction_isolation transaction_deferrable synchronous_commit
   commit_delay commit_siblings default_tablespace temp_tablespaces default_table_access_method default_toast_compression
   check_function_bodies escape_string_warning quote_all_identifiers array_nulls stats_fetch_consistency compute_query_id
   track_io_timing tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count tcp_user_timeout client_connection_check_interval
   vacuum_cost_delay vacuum_cost_limit vacuum_freeze_min_age vacuum_freeze_table_age exit_on_error seed debug_print_plan debug_print_parse
   debug_print_rewritten debug_pretty_print enable_async_append enable_bitmapscan enable_distinct_reordering enable_gathermerge
   enable_group_by_reordering enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material
   enable_memoize enable_mergejoin enable_nestloop enable_parallel_append enable_parallel_hash enable_partition_pruning
   enable_partitionwise_aggregate enable_partitionwise_join enable_presorted_aggregate enable_self_join_elimination enable_seqscan
   enable_sort enable_tidscan`
    .split(/\s+/)
    .filter((name) => name !== ''),
)

/** Settings of extensions that turn a protection off or become somebody else. */
const gravePrefixes = [
  'pgaudit.',
  'anon.',
  'request.',
  'cron.',
  'sepgsql.',
  'set_user.',
  'supautils.',
  'plperl.',
  'plpython',
  'pltcl.',
  'pljava.',
  'credcheck.',
  'pg_tle.',
  'auth_delay.',
  'passwordcheck.',
]

const whyGrave: ReadonlyMap<string, string> = new Map([
  ['role', 'changes whose rights the session has'],
  ['session_authorization', 'changes whose rights the session has'],
  ['search_path', 'changes what unqualified names mean'],
  ['session_replication_role', 'switches triggers and foreign keys off'],
  ['row_security', 'changes whether row security filters'],
  ['standard_conforming_strings', 'changes where a string ends: the gate would read another statement than the server'],
  ['backslash_quote', 'changes where a string ends: the gate would read another statement than the server'],
  ['client_encoding', 'changes what the bytes mean: the gate would read another statement than the server'],
])

/**
 * A parameter of an extension's or the application's own: the server does nothing with it, so it means what reads it makes of it. A policy may, and
 * only the catalog says so.
 */
export function isOwnSetting(rawName: string): boolean {
  return rawName.includes('.')
}

/** `values` null: back to its default. */
export function judgeSetting(rawName: string, values: readonly string[] | null): SettingImpact {
  const name = rawName.toLowerCase()
  if (name === 'default_transaction_read_only' || name === 'transaction_read_only') return judgeReadOnly(values)
  if (name === 'client_encoding' && (values === null || /^(utf-?8|unicode)$/i.test(values[0] ?? '')))
    return read('sets the encoding that is in force already')
  if (name === 'standard_conforming_strings' && values !== null && !isOffText(values[0] ?? 'off'))
    return read('keeps strings as the standard has them')
  if (name === 'search_path' && values === null) return read('puts the search path back')
  if (name === 'all' && values === null) return read('puts the settings of this session back')
  if (harmless.has(name)) return read('a setting of this session that changes no data and no rights')
  if (name.includes('.') && !gravePrefixes.some((prefix) => name.startsWith(prefix)))
    return read('a setting of an extension or of the application, for this session')
  return { kind: 'escalate', reversible: true, why: whyGrave.get(name) ?? 'a setting that may switch a protection off' }
}

function judgeReadOnly(values: readonly string[] | null): SettingImpact {
  if (values !== null && isOffText(values[0] ?? 'off'))
    return { kind: 'escalate', reversible: true, why: 'leaves read-only mode' }
  return read('sets or resets read-only mode')
}

function read(why: string): SettingImpact {
  return { kind: 'read', reversible: true, why }
}

/** The same parameters for a role, a database or the whole server: they outlive the session. */
export function judgeLastingSetting(rawName: string, values: readonly string[] | null): SettingImpact {
  const name = rawName.toLowerCase()
  if (/command|librar|_path$|_file$|_directory$/.test(name) && name !== 'search_path') {
    return { kind: 'escalate', reversible: false, why: 'makes the server run a program, load code or use other files' }
  }
  const session = judgeSetting(name, values)
  if (session.kind === 'read') return { kind: 'disrupt', reversible: true, why: 'changes how every later session is served' }
  return { ...session, why: `${session.why}, for every later session` }
}
