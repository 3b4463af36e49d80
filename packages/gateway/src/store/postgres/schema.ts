import { SallyportError } from '@sallyport/core'
import type { Connection, Run } from './connection.ts'

/** A step of the schema. Each adds; what a version before it says to the store goes on to work, unless `worksFrom` says that it does not. */
export interface Migration {
  readonly version: number
  /** The oldest version whose gates still work on the schema that this step leaves. */
  readonly worksFrom: number
  readonly sql: string
}

export const migrations: readonly Migration[] = [
  {
    version: 1,
    worksFrom: 1,
    sql: `
      CREATE TABLE facts (name text PRIMARY KEY, value text NOT NULL);
      CREATE TABLE handles (
        seq bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, agent text NOT NULL, owner text NOT NULL, parent text,
        issued_at_ms bigint NOT NULL, expires_at_ms bigint NOT NULL, revoked_at_ms bigint, scram text NOT NULL,
        secret_sha256 text NOT NULL UNIQUE, narrowing text, uses_max bigint, uses bigint NOT NULL DEFAULT 0
      );
      CREATE INDEX handles_agent ON handles (agent, expires_at_ms);
      CREATE INDEX handles_parent ON handles (parent);
      CREATE TABLE requests (
        seq bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, agent text NOT NULL, owner text NOT NULL, upstream text NOT NULL,
        digest text NOT NULL, state text NOT NULL, created_at_ms bigint NOT NULL, expires_at_ms bigint NOT NULL, not_before_ms bigint,
        delay_ms bigint NOT NULL, ended_by text, session text NOT NULL, nonce text NOT NULL, question text NOT NULL
      );
      CREATE INDEX requests_digest ON requests (agent, digest, seq);
      CREATE INDEX requests_state ON requests (state, agent);
      CREATE INDEX requests_seq ON requests (seq);
      CREATE TABLE approvals (
        seq bigint GENERATED ALWAYS AS IDENTITY, request text NOT NULL REFERENCES requests (id), person_key text NOT NULL, body text NOT NULL,
        PRIMARY KEY (request, person_key)
      );
      CREATE TABLE grants (
        seq bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, request text NOT NULL UNIQUE REFERENCES requests (id), agent text NOT NULL,
        digest text NOT NULL, upstream text NOT NULL, not_before_ms bigint NOT NULL, expires_at_ms bigint NOT NULL, body text NOT NULL,
        state text NOT NULL, intent text, gate text, settled boolean NOT NULL DEFAULT false
      );
      CREATE INDEX grants_digest ON grants (agent, digest);
      CREATE INDEX grants_state ON grants (state) WHERE state = 'open' OR (state = 'consumed' AND NOT settled);
      CREATE TABLE spending (owner text NOT NULL, upstream text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), rows bigint NOT NULL);
      CREATE INDEX spending_owner ON spending (owner, upstream, at);
      CREATE TABLE switch (one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch bigint NOT NULL);
      INSERT INTO switch (epoch) VALUES (1);
      CREATE TABLE kills (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, name text NOT NULL, reason text NOT NULL, by text NOT NULL,
        at_ms bigint NOT NULL, released_at_ms bigint
      );
      CREATE TABLE gates (
        id text PRIMARY KEY, life text NOT NULL, heard bigint NOT NULL DEFAULT 0, beat bigint NOT NULL DEFAULT 0, lost boolean NOT NULL DEFAULT true,
        seen timestamptz NOT NULL DEFAULT clock_timestamp()
      );
      CREATE TABLE people (seq bigint GENERATED ALWAYS AS IDENTITY, name text PRIMARY KEY, body text NOT NULL);
      CREATE TABLE removed_people (seq bigint GENERATED ALWAYS AS IDENTITY, name text PRIMARY KEY, body text NOT NULL);
      CREATE TABLE links (
        seq bigint GENERATED ALWAYS AS IDENTITY, token_sha256 text PRIMARY KEY, expires_at_ms bigint NOT NULL, body text NOT NULL
      );
      CREATE TABLE quarantines (
        id text NOT NULL, upstream text NOT NULL, until_ms bigint NOT NULL, body text NOT NULL, PRIMARY KEY (upstream, id)
      );
      CREATE TABLE deferrals (
        request text PRIMARY KEY REFERENCES requests (id), handle text NOT NULL, upstream text NOT NULL, about text NOT NULL, body bytea NOT NULL
      );
    `,
  },
  {
    version: 2,
    worksFrom: 1,
    sql: `
      CREATE TABLE claims (name text PRIMARY KEY, gate text NOT NULL, life text NOT NULL, until timestamptz NOT NULL);
    `,
  },
  {
    version: 3,
    // A gate that does not know of it would not end it with a kill.
    worksFrom: 3,
    sql: `
      CREATE TABLE standing (
        seq bigint GENERATED ALWAYS AS IDENTITY, request text PRIMARY KEY REFERENCES requests (id), agent text NOT NULL, owner text NOT NULL,
        upstream text NOT NULL, expires_at_ms bigint NOT NULL, ended boolean NOT NULL DEFAULT false, body text NOT NULL
      );
      CREATE INDEX standing_live ON standing (expires_at_ms) WHERE NOT ended;
      CREATE TABLE used_tokens (name text PRIMARY KEY, until_ms bigint NOT NULL);
      CREATE INDEX used_tokens_until ON used_tokens (until_ms);
    `,
  },
  {
    version: 4,
    worksFrom: 3,
    sql: `
      ALTER TABLE kills ADD COLUMN mark text UNIQUE;
      ALTER TABLE gates ADD COLUMN about text, ADD COLUMN told timestamptz;
      CREATE TABLE web_sessions (
        id_sha256 text PRIMARY KEY, person text NOT NULL, by text NOT NULL, created_at_ms bigint NOT NULL, last_seen_at_ms bigint NOT NULL
      );
      CREATE TABLE accounts (
        issuer text NOT NULL, subject text NOT NULL, person text NOT NULL, person_key text NOT NULL, groups text NOT NULL,
        learnt_at_ms bigint NOT NULL, PRIMARY KEY (issuer, subject), UNIQUE (issuer, person_key)
      );
      CREATE TABLE sign_ins (id_sha256 text PRIMARY KEY, until_ms bigint NOT NULL, body text NOT NULL);
    `,
  },
]

/** Any two numbers, as long as every gate takes the same: whoever holds the lock changes the schema. */
const lockKey = [0x5a11, 0x1904] as const

/**
 * Brings the schema to what this version knows, one gate at a time.
 * @throws SallyportError when a newer version has made a schema that this one does not work with
 */
export async function migrate({ transact }: Connection, known: readonly Migration[] = migrations): Promise<void> {
  await transact(async (run) => {
    await run('SELECT pg_advisory_xact_lock($1, $2)', lockKey)
    await run('CREATE SCHEMA IF NOT EXISTS sallyport')
    await run(
      'CREATE TABLE IF NOT EXISTS sallyport.schema_steps (version integer PRIMARY KEY, works_from integer NOT NULL, at timestamptz NOT NULL DEFAULT now())',
    )
    const newest = await findNewest(run)
    const ours = known.at(-1)?.version ?? 0
    if (newest.worksFrom > ours)
      throw new SallyportError(
        'store_unavailable',
        `The store was changed by a newer Sallyport (schema ${newest.version}, which works from ${newest.worksFrom} on; this one knows ${ours}).`,
        'The gate did not start, and nothing was changed.',
        'Start the newer version; gates are upgraded one after the other, and not put back after that.',
      )
    for (const { version, worksFrom, sql } of known) {
      if (version <= newest.version) continue
      await run(sql)
      await run('INSERT INTO sallyport.schema_steps (version, works_from) VALUES ($1, $2)', [version, worksFrom])
    }
  })
}

async function findNewest(run: Run): Promise<{ readonly version: number; readonly worksFrom: number }> {
  const { rows } = await run('SELECT version, works_from FROM sallyport.schema_steps ORDER BY version DESC LIMIT 1')
  return { version: Number(rows[0]?.['version'] ?? 0), worksFrom: Number(rows[0]?.['works_from'] ?? 0) }
}
