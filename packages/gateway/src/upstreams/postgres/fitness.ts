/** Operators are named with their schema: this is asked under the role of an agent, whose search_path somebody may have set. */
const equal = 'OPERATOR(pg_catalog.=)'
const text = '::pg_catalog.text'

/**
 * One text that is another one when a connection made now would start otherwise, or not at all: the server read its settings again, the role or
 * its settings changed, it may log in no more, its time is over, the database or who may connect to it changed. All of it may be asked by anybody.
 * What it can't see is a changed password: that is why nothing waits for long.
 */
export const fitnessSql = `SELECT pg_catalog.concat_ws(' ', \
pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), pg_catalog.date_part('epoch', pg_catalog.pg_conf_load_time()), \
session_user, current_user, \
(SELECT ROW(r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls, \
r.rolconnlimit, pg_catalog.date_part('epoch', r.rolvaliduntil), \
r.rolvaliduntil IS NULL OR r.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now())${text} \
FROM pg_catalog.pg_roles r WHERE r.rolname ${equal} session_user), \
(SELECT ROW(d.oid, d.datname, d.datallowconn, d.datconnlimit, d.datacl, \
pg_catalog.has_database_privilege(session_user, d.oid, 'CONNECT'))${text} \
FROM pg_catalog.pg_database d WHERE d.datname ${equal} pg_catalog.current_database()), \
(SELECT pg_catalog.string_agg(ROW(s.setdatabase, s.setrole, s.setconfig)${text}, ' ' ORDER BY s.setdatabase, s.setrole) \
FROM pg_catalog.pg_db_role_setting s), \
(SELECT pg_catalog.sum(pg_catalog.hashtextextended(ROW(m.roleid, m.member, m.admin_option)${text}, 0::pg_catalog.int8)) \
FROM pg_catalog.pg_auth_members m))`
