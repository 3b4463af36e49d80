import type { ImpactKind } from '@sallyport/core'

/** What calling a function does, where its name alone tells. */
export interface FunctionImpact {
  readonly kind: ImpactKind
  readonly reversible: boolean
  readonly why: string
  /** Later statements of the session may mean something else. */
  readonly changesSession?: true
  /** A parameter of the application's own that it sets. */
  readonly ownSetting?: string
  /** The verdict may differ for other numbers in the text, or hangs on the session: it must not be remembered. */
  readonly forgetful?: true
}

function names(list: string, impact: FunctionImpact): readonly (readonly [string, FunctionImpact])[] {
  return list
    .split(/\s+/)
    .filter((name) => name !== '')
    .map((name) => [name, impact] as const)
}

const read: FunctionImpact = { kind: 'read', reversible: true, why: 'reads only' }

/**
 * Volatile functions of pg_catalog, judged one by one. One that is not here is `unknown`: trigger functions, handlers and the upgrade functions
 * on purpose, and whatever a newer server adds. Functions that older servers had are listed too.
 */
export const volatileImpacts: ReadonlyMap<string, FunctionImpact> = new Map<string, FunctionImpact>([
  ...names(
    `array_sample array_shuffle clock_timestamp current_query currtid currtid2 currval gen_random_uuid lastval random random_normal
     setseed timeofday uuidv4 uuidv7 lo_close lo_get lo_lseek lo_lseek64 lo_tell lo_tell64 loread bernoulli system
     pg_available_wal_summaries pg_blocking_pids pg_collation_actual_version pg_control_checkpoint pg_control_init pg_control_recovery
     pg_control_system pg_current_logfile pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn
     pg_database_collation_actual_version pg_database_size pg_get_aios pg_get_backend_memory_contexts pg_get_loaded_modules
     pg_get_multixact_members pg_get_sequence_data pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events
     pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_get_wal_summarizer_state pg_indexes_size pg_is_in_recovery
     pg_is_wal_replay_paused pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn
     pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status pg_notification_queue_usage pg_partition_ancestors
     pg_partition_tree pg_prepared_xact pg_relation_size pg_replication_origin_progress pg_replication_origin_session_is_setup
     pg_replication_origin_session_progress pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_show_replication_origin_status
     pg_sleep pg_sleep_for pg_sleep_until pg_stat_clear_snapshot pg_stat_force_next_flush pg_stat_get_backend_io pg_stat_get_backend_wal
     pg_stat_get_io pg_stat_get_recovery_prefetch pg_stat_have_stats pg_table_size pg_tablespace_size pg_total_relation_size
     pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time
     pg_stat_get_xact_function_total_time pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched
     pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_inserted
     pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated pg_wal_summary_contents pg_xact_commit_timestamp
     pg_xact_commit_timestamp_origin pg_xact_status txid_status cursor_to_xml cursor_to_xmlschema pg_ls_waldir pg_ls_archive_statusdir
     pg_ls_tmpdir pg_ls_summariesdir pg_ls_replslotdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_logical_slot_peek_changes
     pg_logical_slot_peek_binary_changes amvalidate`,
    read,
  ),
  ...names(
    `pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_advisory_xact_lock
     pg_advisory_xact_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
     pg_try_advisory_xact_lock_shared`,
    { ...read, why: 'takes or gives back an advisory lock; no data changes', forgetful: true },
  ),
  ...names('pg_export_snapshot', { ...read, why: 'shares the snapshot of this transaction; no data changes', forgetful: true }),
  ...names('nextval setval', { kind: 'write', reversible: true, why: 'moves a sequence' }),
  ...names('lo_creat lo_create lo_from_bytea', { kind: 'write', reversible: true, why: 'creates a large object' }),
  ...names('pg_notify pg_logical_emit_message', { kind: 'write', reversible: true, why: 'sends a message to whoever listens' }),
  ...names('pg_import_system_collations pg_extension_config_dump', {
    kind: 'write',
    reversible: true,
    why: 'adds to the catalog',
  }),
  ...names('lo_put lowrite', { kind: 'destroy', reversible: false, why: 'overwrites bytes of a large object' }),
  ...names('lo_unlink', { kind: 'destroy', reversible: false, why: 'deletes a large object' }),
  ...names('lo_truncate lo_truncate64', { kind: 'destroy', reversible: false, why: 'cuts a large object off' }),
  ...names(
    `pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote pg_nextoid pg_stat_reset
     pg_stat_reset_backend_stats pg_stat_reset_replication_slot pg_stat_reset_shared pg_stat_reset_single_function_counters
     pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats pg_switch_wal pg_switch_xlog
     pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup pg_wal_replay_pause pg_wal_replay_resume
     pg_xlog_replay_pause pg_xlog_replay_resume pg_create_logical_replication_slot pg_create_physical_replication_slot
     pg_copy_logical_replication_slot pg_copy_physical_replication_slot pg_sync_replication_slots pg_log_backend_memory_contexts
     pg_log_standby_snapshot pg_replication_origin_create pg_replication_origin_session_setup pg_replication_origin_session_reset
     pg_replication_origin_xact_setup pg_replication_origin_xact_reset pg_clear_attribute_stats pg_clear_relation_stats
     pg_restore_attribute_stats pg_restore_relation_stats brin_desummarize_range brin_summarize_new_values brin_summarize_range
     gin_clean_pending_list`,
    { kind: 'disrupt', reversible: true, why: 'acts on the server or on other sessions, not on data' },
  ),
  ...names('pg_drop_replication_slot', {
    kind: 'destroy',
    reversible: false,
    why: 'drops a replication slot, and the WAL it kept',
  }),
  ...names('pg_replication_slot_advance pg_logical_slot_get_changes pg_logical_slot_get_binary_changes', {
    kind: 'destroy',
    reversible: false,
    why: 'consumes changes that a replication slot kept: its reader never sees them',
  }),
  ...names('pg_replication_origin_drop pg_replication_origin_advance', {
    kind: 'destroy',
    reversible: false,
    why: 'loses the position up to which changes were replicated',
  }),
  ...names('pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir pg_logdir_ls', {
    kind: 'escalate',
    reversible: true,
    why: 'reaches files of the server',
  }),
  ...names('pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings', {
    kind: 'escalate',
    reversible: true,
    why: 'shows who may connect, or what configuration files hold',
  }),
  ...names('lo_import', { kind: 'escalate', reversible: true, why: 'reads a file of the server into the database' }),
  ...names('lo_export', { kind: 'escalate', reversible: false, why: 'writes a file of the server' }),
])

/**
 * Functions of well-known extensions that do harm. Their names count whatever schema they are called in: a warning that is wrong costs a
 * question, one that is missing costs the data. Names with a dot count only in that schema.
 */
export const extensionImpacts: ReadonlyMap<string, FunctionImpact> = new Map<string, FunctionImpact>([
  ...names(`dblink dblink_exec dblink_connect dblink_connect_u dblink_open dblink_fetch dblink_send_query dblink_get_result`, {
    kind: 'escalate',
    reversible: false,
    why: 'works on another server through a connection that Sallyport does not see',
    forgetful: true,
  }),
  ...names('dblink_disconnect dblink_close dblink_cancel_query dblink_get_connections dblink_is_busy dblink_error_message', {
    kind: 'escalate',
    reversible: true,
    why: 'handles a connection to another server that Sallyport does not see',
  }),
  ...names('http http_get http_post http_put http_patch http_delete http_head net.http_get net.http_post net.http_delete', {
    kind: 'escalate',
    reversible: false,
    why: 'sends a web request from inside the database',
  }),
  ...names('aws_lambda.invoke aws_s3.query_export_to_s3', {
    kind: 'escalate',
    reversible: false,
    why: 'sends data out of the database, or runs code outside it',
  }),
  ...names('aws_s3.table_import_from_s3', { kind: 'escalate', reversible: true, why: 'brings data in from outside' }),
  ...names('drop_chunks', { kind: 'destroy', reversible: false, why: 'drops chunks of a hypertable, with their rows' }),
  ...names('add_retention_policy add_drop_chunks_policy', {
    kind: 'destroy',
    reversible: false,
    why: 'arms the repeated dropping of old chunks',
  }),
  ...names('cron.unschedule cron.alter_job remove_retention_policy alter_job delete_job', {
    kind: 'disrupt',
    reversible: true,
    why: 'stops or changes a scheduled job',
  }),
  ...names('pg_file_write pg_file_rename pg_file_sync pg_logdir_ls', {
    kind: 'escalate',
    reversible: false,
    why: 'writes files of the server',
  }),
  ...names('pg_file_unlink', { kind: 'destroy', reversible: false, why: 'deletes a file of the server' }),
  ...names('heap_force_kill heap_force_freeze', { kind: 'destroy', reversible: false, why: 'tampers with stored rows' }),
  ...names(
    `pg_stat_statements_reset pg_prewarm autoprewarm_start_worker autoprewarm_dump_now pg_buffercache_evict pg_buffercache_evict_all
     pg_buffercache_evict_relation pg_truncate_visibility_map bt_index_parent_check`,
    { kind: 'disrupt', reversible: true, why: 'acts on the server, not on data' },
  ),
  ...names('vault.create_secret vault.update_secret pgsodium.create_key', {
    kind: 'escalate',
    reversible: false,
    why: 'stores a secret',
  }),
  ...names('lo_manage', { kind: 'destroy', reversible: false, why: 'deletes large objects' }),
])

/** Volatile functions of the plain extensions of the catalogue that change nothing. */
export const harmlessExtensionFunctions: ReadonlySet<string> = new Set(
  `uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 gen_random_bytes gen_salt pgp_pub_encrypt pgp_pub_encrypt_bytea pgp_sym_encrypt
   pgp_sym_encrypt_bytea normal_rand pg_stat_statements pg_stat_statements_info pgstattuple pgstattuple_approx pgstatindex pgstatginindex
   pgstathashindex pg_relpages pg_freespace pgrowlocks bt_index_check verify_heapam pg_buffercache_pages pg_buffercache_summary`
    .split(/\s+/)
    .filter((name) => name !== ''),
)

/** Immutable and stable functions of extensions that the catalogue is not made from: PostGIS, pgvector, TimescaleDB. */
export const wellKnownFunctions: ReadonlySet<string> = new Set(
  `st_area st_asbinary st_asewkb st_asewkt st_asgeojson st_asgml st_askml st_asmvt st_asmvtgeom st_assvg st_astext st_astwkb st_azimuth
   st_boundary st_buffer st_buildarea st_centroid st_closestpoint st_clusterdbscan st_clusterkmeans st_collect st_collectionextract
   st_concavehull st_contains st_containsproperly st_convexhull st_coorddim st_coveredby st_covers st_crosses st_difference st_dimension
   st_disjoint st_distance st_distancesphere st_distancespheroid st_dump st_dumppoints st_dumprings st_dwithin st_endpoint st_envelope
   st_equals st_expand st_extent st_exteriorring st_flipcoordinates st_force2d st_force3d st_frechetdistance st_geogfromtext
   st_geogfromwkb st_geohash st_geometryn st_geometrytype st_geomfromewkb st_geomfromewkt st_geomfromgeojson st_geomfromtext
   st_geomfromwkb st_hausdorffdistance st_hexagongrid st_interiorringn st_intersection st_intersects st_isclosed st_isempty st_isring
   st_issimple st_isvalid st_isvalidreason st_length st_length2d st_linefrommultipoint st_lineinterpolatepoint st_linelocatepoint
   st_linemerge st_linesubstring st_m st_makeenvelope st_makeline st_makepoint st_makepolygon st_makevalid st_maxdistance st_memunion
   st_minimumboundingcircle st_multi st_ndims st_npoints st_numgeometries st_numpoints st_orderingequals st_overlaps st_perimeter st_point
   st_pointfromtext st_pointn st_pointonsurface st_polygon st_polygonize st_project st_relate st_reverse st_rotate st_scale st_segmentize
   st_setsrid st_shortestline st_simplify st_simplifypreservetopology st_simplifyvw st_snap st_snaptogrid st_split st_squaregrid st_srid
   st_startpoint st_subdivide st_summary st_symdifference st_tileenvelope st_touches st_transform st_translate st_unaryunion st_union
   st_voronoilines st_voronoipolygons st_within st_x st_xmax st_xmin st_y st_ymax st_ymin st_z geometrytype box2d box3d
   postgis_full_version postgis_lib_version postgis_version find_srid
   cosine_distance l1_distance l2_distance l2_norm l2_normalize inner_product vector_dims vector_norm binary_quantize subvector
   hamming_distance jaccard_distance
   time_bucket time_bucket_gapfill locf interpolate histogram approximate_row_count`
    .split(/\s+/)
    .filter((name) => name !== ''),
)

/** Functions that run SQL given as text, and which argument holds it. A text that is not a constant can't be read. */
export const sqlArguments: ReadonlyMap<string, readonly number[]> = new Map([
  ['query_to_xml', [0]],
  ['query_to_xmlschema', [0]],
  ['query_to_xml_and_xmlschema', [0]],
  ['ts_stat', [0]],
  ['ts_rewrite', [1]],
  ['crosstab', [0, 1]],
  ['crosstab2', [0]],
  ['crosstab3', [0]],
  ['crosstab4', [0]],
  ['crosstab_hash', [0, 1]],
  ['dblink', [0, 1]],
  ['dblink_exec', [0, 1]],
  ['dblink_send_query', [1]],
  ['dblink_open', [1, 2]],
  ['cron.schedule', [1, 2]],
  ['cron.schedule_in_database', [2]],
])

/** Functions that read whole relations named by text. */
export const relationArguments: ReadonlySet<string> = new Set(
  `table_to_xml table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema database_to_xml
   database_to_xmlschema database_to_xml_and_xmlschema`
    .split(/\s+/)
    .filter((name) => name !== ''),
)
