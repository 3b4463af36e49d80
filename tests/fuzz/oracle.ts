import { loadModule, parseSync, scanSync } from 'libpg-query'

/**
 * What can be said of a text without asking the describer: whether PostgreSQL's own parser reads it, and whether anything in what it read changes
 * something. Written from PostgreSQL's grammar alone, and shares no code with the describer.
 */
export interface Reading {
  /** False: no server would run it. */
  readonly parses: boolean
  /** The first node that changes something when it runs, wherever it stands; null when there is none. */
  readonly changes: string | null
  /** The tree without places in the text: the same for texts that mean the same. */
  readonly shape: string
}

export interface Piece {
  readonly text: string
  readonly isWord: boolean
  readonly isComment: boolean
}

await loadModule()

/** Statements that change nothing by themselves; what stands inside them is looked at. */
const quiet = new Set(
  `SelectStmt VariableShowStmt TransactionStmt ExplainStmt DeclareCursorStmt FetchStmt ClosePortalStmt ListenStmt UnlistenStmt PrepareStmt
   DeallocateStmt ConstraintsSetStmt VariableSetStmt CopyStmt RawStmt ReturnStmt`.split(/\s+/),
)
/** DISCARD of plans and sequences forgets; of temporary things it drops. */
const forgets = new Set(['DISCARD_PLANS', 'DISCARD_SEQUENCES'])
/** Functions of the server's that change something, whatever they are given; a handful of each kind. */
const changing = new Set(
  `nextval setval lo_unlink lo_put lowrite lo_create lo_creat lo_import lo_export lo_truncate pg_terminate_backend pg_cancel_backend pg_notify
   pg_reload_conf pg_rotate_logfile pg_switch_wal pg_create_restore_point pg_logical_emit_message pg_stat_reset pg_promote pg_read_file pg_ls_dir
   pg_create_physical_replication_slot pg_drop_replication_slot pg_replication_slot_advance pg_logical_slot_get_changes database_to_xml my_function`.split(
    /\s+/,
  ),
)
const risky = new Set([
  'role',
  'session_authorization',
  'search_path',
  'session_replication_role',
  'row_security',
  'client_encoding',
])

interface Tree {
  readonly [key: string]: unknown
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function read(sql: string): Reading {
  // A server answers an empty text with nothing; the parser's binding calls it an error.
  if (/^[ \t\n\r\f\v]*$/.test(sql)) return { parses: true, changes: null, shape: '' }
  let tree: unknown
  try {
    tree = parseSync(sql)
  } catch {
    return { parses: false, changes: null, shape: '' }
  }
  return {
    parses: true,
    changes: findChange(tree, preparedIn(tree)),
    shape: JSON.stringify(tree, (key, value: unknown) => (isPlace(key) ? undefined : value)),
  }
}

function isPlace(key: string): boolean {
  return key === 'location' || key.endsWith('_location') || key === 'stmt_len' || key === 'version'
}

/** Names of statements that the text itself prepares: what they do stands in the same tree. */
function preparedIn(tree: unknown): ReadonlySet<string> {
  const found = JSON.stringify(tree).matchAll(/"PrepareStmt":\{"name":("(?:[^"\\]|\\.)*")/g)
  return new Set([...found].map(([, name]) => String(JSON.parse(name ?? '""'))))
}

function findChange(value: unknown, prepared: ReadonlySet<string>): string | null {
  if (Array.isArray(value)) {
    for (const item of value) {
      const found = findChange(item, prepared)
      if (found !== null) return found
    }
    return null
  }
  if (!isTree(value)) return null
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'ExplainStmt' && isTree(inner) && !mayRun(inner['options'])) continue
    if (key === 'ExecuteStmt' && isTree(inner) && prepared.has(String(inner['name']))) continue
    const own = isTree(inner) ? judge(key, inner) : null
    const found = own ?? findChange(inner, prepared)
    if (found !== null) return found
  }
  return null
}

/** EXPLAIN runs its statement unless every ANALYZE among the options is off, by a word that is surely one for off. */
function mayRun(options: unknown): boolean {
  const analyze = (Array.isArray(options) ? options : [])
    .map((option) => JSON.stringify(option))
    .filter((text) => text.includes('"analyze"'))
  return analyze.some((text) => !/"sval":"(false|off|no)"|"boolval":\{\}|"Integer":\{\}/i.test(text))
}

function judge(type: string, body: Tree): string | null {
  if (type === 'intoClause') return 'SELECT INTO'
  if (type === 'CopyStmt') return body['is_from'] === true || typeof body['filename'] === 'string' ? 'COPY' : null
  if (type === 'TransactionStmt') return String(body['kind']).includes('PREPARE') ? 'two phases' : null
  if (type === 'DoStmt') return insideBlock(body)
  if (type === 'DiscardStmt') return forgets.has(String(body['target'])) ? null : 'DISCARD'
  if (type === 'VariableSetStmt') return isRisky(body) ? `SET ${String(body['name'])}` : null
  if (type === 'FuncCall') return changing.has(lastName(body['funcname'])) ? lastName(body['funcname']) : null
  return type.endsWith('Stmt') && !quiet.has(type) ? type : null
}

/** A block is what stands in it, as far as that is plain SQL: there, INTO names a variable. */
function insideBlock(body: Tree): string | null {
  const [, text] = /"sval":("BEGIN (?:[^"\\]|\\.)*END")/.exec(JSON.stringify(body)) ?? []
  const inner = text === undefined ? '' : String(JSON.parse(text)).replace(/^BEGIN |;? *END$/g, '')
  const { changes } = read(inner)
  return changes === 'SELECT INTO' ? null : changes
}

/** Set to a value, not put back. */
function isRisky(body: Tree): boolean {
  const isUtf8 = /utf-?8|unicode/i.test(JSON.stringify(body['args'] ?? null))
  return body['kind'] === 'VAR_SET_VALUE' && risky.has(String(body['name']).toLowerCase()) && !isUtf8
}

function lastName(value: unknown): string {
  const last: unknown = Array.isArray(value) ? value.at(-1) : null
  const node = isTree(last) && isTree(last['String']) ? last['String']['sval'] : ''
  return typeof node === 'string' ? node : ''
}

/** The text in pieces, blanks left out; null when the scanner refuses it. */
export function cut(sql: string): readonly Piece[] | null {
  try {
    return scanSync(sql).tokens.map(({ text, tokenName, keywordName }) => ({
      text,
      isWord: tokenName === 'IDENT' || keywordName !== 'NO_KEYWORD',
      isComment: tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT',
    }))
  } catch {
    return null
  }
}
