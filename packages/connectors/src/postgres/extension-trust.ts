/**
 * Extensions whose immutable and stable functions compute and do nothing else. A label of STABLE is a promise of whoever wrote the C code, and is
 * believed of these alone: others run SQL that they are given as text (tablefunc, xml2), reach other servers or files, or promise what they don't keep.
 */
export const trustedExtensions: readonly string[] = [
  'bloom',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'dict_int',
  'dict_xsyn',
  'earthdistance',
  'fuzzystrmatch',
  'h3',
  'hll',
  'hstore',
  'intarray',
  'ip4r',
  'isn',
  'ltree',
  'pg_bigm',
  'pg_trgm',
  'pgcrypto',
  'postgis',
  'semver',
  'seg',
  'tsm_system_rows',
  'tsm_system_time',
  'unaccent',
  'uuid-ossp',
  'vector',
]

/** Of extensions that do more, functions that only compute or look. Each by extension and name. */
export const trustedFunctions: readonly (readonly [extension: string, name: string])[] = [
  ['amcheck', 'bt_index_check'],
  ['amcheck', 'verify_heapam'],
  ['pg_buffercache', 'pg_buffercache_pages'],
  ['pg_buffercache', 'pg_buffercache_summary'],
  ['pg_freespacemap', 'pg_freespace'],
  ['pg_stat_statements', 'pg_stat_statements'],
  ['pg_stat_statements', 'pg_stat_statements_info'],
  ['pgrowlocks', 'pgrowlocks'],
  ['pgstattuple', 'pg_relpages'],
  ['pgstattuple', 'pgstatginindex'],
  ['pgstattuple', 'pgstathashindex'],
  ['pgstattuple', 'pgstatindex'],
  ['pgstattuple', 'pgstattuple'],
  ['pgstattuple', 'pgstattuple_approx'],
  ['tablefunc', 'crosstab'],
  ['tablefunc', 'crosstab2'],
  ['tablefunc', 'crosstab3'],
  ['tablefunc', 'crosstab4'],
  ['tablefunc', 'crosstab_hash'],
  ['tablefunc', 'normal_rand'],
  ['timescaledb', 'time_bucket'],
  ['timescaledb', 'time_bucket_gapfill'],
]

/** Functions of those extensions that are labelled volatile because their answer differs each time, and do nothing. */
export const trustedVolatile: readonly string[] = [
  'gen_random_bytes',
  'gen_salt',
  'pgp_pub_encrypt',
  'pgp_pub_encrypt_bytea',
  'pgp_sym_encrypt',
  'pgp_sym_encrypt_bytea',
  'uuid_generate_v1',
  'uuid_generate_v1mc',
  'uuid_generate_v4',
]
