import { DatabaseSync } from 'node:sqlite'
import { chmodSync } from 'node:fs'

const migrations: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE handles (
    id TEXT PRIMARY KEY, agent TEXT NOT NULL, owner TEXT NOT NULL, parent TEXT, issuedAtMs INTEGER NOT NULL, expiresAtMs INTEGER NOT NULL,
    revokedAtMs INTEGER, scram TEXT NOT NULL, secretSha256 TEXT NOT NULL UNIQUE
  ) STRICT;
  CREATE INDEX handles_agent ON handles (agent, expiresAtMs);
  CREATE TABLE requests (
    id TEXT PRIMARY KEY, agent TEXT NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, createdAtMs INTEGER NOT NULL, expiresAtMs INTEGER NOT NULL,
    notBeforeMs INTEGER, endedBy TEXT, session TEXT NOT NULL, nonce TEXT NOT NULL, question TEXT NOT NULL
  ) STRICT;
  CREATE INDEX requests_digest ON requests (agent, digest, createdAtMs);
  CREATE INDEX requests_state ON requests (state, agent);
  CREATE TABLE approvals (
    request TEXT NOT NULL REFERENCES requests (id), personKey TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (request, personKey)
  ) STRICT;
  CREATE TABLE grants (
    id TEXT PRIMARY KEY, request TEXT NOT NULL UNIQUE REFERENCES requests (id), agent TEXT NOT NULL, digest TEXT NOT NULL, upstream TEXT NOT NULL,
    policyHash TEXT NOT NULL, targets TEXT NOT NULL, rowsMax INTEGER, approvers TEXT NOT NULL, notBeforeMs INTEGER NOT NULL, expiresAtMs INTEGER NOT NULL,
    state TEXT NOT NULL, intent TEXT, settled INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX grants_digest ON grants (agent, digest);
  CREATE TABLE spending (owner TEXT NOT NULL, upstream TEXT NOT NULL, atMs INTEGER NOT NULL, rows INTEGER NOT NULL) STRICT;
  CREATE INDEX spending_owner ON spending (owner, upstream, atMs);
  CREATE TABLE kills (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, atMs INTEGER NOT NULL, releasedAtMs INTEGER
  ) STRICT;
  CREATE TABLE people (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
  CREATE TABLE links (tokenSha256 TEXT PRIMARY KEY, expiresAtMs INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE deferrals (
    request TEXT PRIMARY KEY REFERENCES requests (id), handle TEXT NOT NULL, upstream TEXT NOT NULL, about TEXT NOT NULL, body BLOB NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE quarantines (id TEXT NOT NULL, upstream TEXT NOT NULL, untilMs INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (upstream, id)) STRICT;
  `,
  `
  CREATE TABLE removedPeople (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
  `,
  `
  ALTER TABLE handles ADD COLUMN narrowing TEXT;
  ALTER TABLE handles ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;
  `,
  `
  CREATE TABLE standing (
    request TEXT PRIMARY KEY REFERENCES requests (id), agent TEXT NOT NULL, owner TEXT NOT NULL, upstream TEXT NOT NULL, expiresAtMs INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE usedTokens (name TEXT PRIMARY KEY, untilMs INTEGER NOT NULL) STRICT;
  CREATE INDEX usedTokens_untilMs ON usedTokens (untilMs);
  `,
  `
  CREATE TABLE accounts (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, person TEXT NOT NULL, personKey TEXT NOT NULL, groups TEXT NOT NULL, learntAtMs INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject), UNIQUE (issuer, personKey)
  ) STRICT;
  `,
  `
  ALTER TABLE grants ADD COLUMN plan TEXT;
  `,
]

/**
 * Opens the embedded store: WAL with synchronous=FULL, set explicitly, so that what was acknowledged survives a power cut (DESIGN §10).
 * @throws Error when the file was written by a newer version, or is no database
 */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  if (path !== ':memory:') chmodSync(path, 0o600)
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;',
  )
  migrate(database)
  return database
}

function migrate(database: DatabaseSync): void {
  const row = database.prepare('PRAGMA user_version').get()
  const version = Number(row?.['user_version'] ?? 0)
  if (version > migrations.length)
    throw new Error(
      `the store was written by a newer Sallyport (schema ${version}, this one knows ${migrations.length}); start that version`,
    )
  for (const [index, statements] of migrations.entries()) {
    if (index < version) continue
    transact(database, () => {
      database.exec(statements)
      database.exec(`PRAGMA user_version = ${index + 1}`)
    })
  }
}

/** Runs `work` in one transaction; on an exception nothing of it stays. */
export function transact<Result>(database: DatabaseSync, work: () => Result): Result {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}
