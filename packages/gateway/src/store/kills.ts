import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'

export const killKinds = ['session', 'agent', 'owner', 'upstream', 'all'] as const
export type KillKind = (typeof killKinds)[number]

export interface Kill {
  readonly id: number
  readonly kind: KillKind
  /** What is stopped: a session's id, an agent's, owner's or upstream's name; empty for `all`. */
  readonly name: string
  readonly reason: string
  readonly by: string
  readonly atMs: number
}

/** With a mark it is written once, whoever tries: another thread of this gate may have done it. */
export type NewKill = Omit<Kill, 'id'> & { readonly mark?: string }

/** Kills outlive a restart: what was stopped stays stopped until a person releases it. */
export interface KillStore {
  add(kill: NewKill): Kill
  /** Returns how many of those up to this id were in force and are released now. */
  release(kind: KillKind, name: string, nowMs: number, upToId: number): number
  inForce(): readonly Kill[]
  /** Approvals given before a kill do not outlive it, nor does scope given for a time. Returns how many open one-use grants are void now. */
  voidGrants(kind: KillKind, name: string): number
  /** Nor do questions that are open, with what people have said to them so far. Returns how many are ended now. */
  cancelRequests(kind: KillKind, name: string): number
}

const killRow = z.object({
  id: z.number(),
  kind: z.enum(killKinds),
  name: z.string(),
  reason: z.string(),
  by: z.string(),
  atMs: z.number(),
})

export function openKills(database: DatabaseSync): KillStore {
  return {
    add: (kill) => {
      const row = database
        .prepare(
          'INSERT INTO kills (kind, name, reason, by, atMs) VALUES (?, ?, ?, ?, ?) RETURNING id, kind, name, reason, by, atMs',
        )
        .get(kill.kind, kill.name, kill.reason, kill.by, kill.atMs)
      return killRow.parse(row)
    },
    release: (kind, name, nowMs, upToId) =>
      Number(
        database
          .prepare('UPDATE kills SET releasedAtMs = ? WHERE kind = ? AND name = ? AND id <= ? AND releasedAtMs IS NULL')
          .run(nowMs, kind, name, upToId).changes,
      ),
    voidGrants: (kind, name) => {
      database
        .prepare(
          `UPDATE standing SET ended = 1 WHERE ended = 0 AND (
             ?1 = 'all' OR (?1 = 'agent' AND agent = ?2) OR (?1 = 'owner' AND owner = ?2) OR (?1 = 'upstream' AND upstream = ?2))`,
        )
        .run(kind, name)
      return Number(
        database
          .prepare(
            `UPDATE grants SET state = 'void' WHERE state = 'open' AND (
               ?1 = 'all' OR (?1 = 'agent' AND agent = ?2) OR (?1 = 'upstream' AND upstream = ?2)
               OR (?1 = 'owner' AND request IN (SELECT id FROM requests WHERE question ->> '$.subject.owner' = ?2))
               OR (?1 = 'session' AND request IN (SELECT id FROM requests WHERE session = ?2)))`,
          )
          .run(kind, name).changes,
      )
    },
    cancelRequests: (kind, name) =>
      Number(
        database
          .prepare(
            `UPDATE requests SET state = 'cancelled', endedBy = 'the kill switch' WHERE state = 'pending' AND (
               ?1 = 'all' OR (?1 = 'agent' AND agent = ?2) OR (?1 = 'session' AND session = ?2)
               OR (?1 = 'owner' AND question ->> '$.subject.owner' = ?2) OR (?1 = 'upstream' AND question ->> '$.upstream' = ?2))`,
          )
          .run(kind, name).changes,
      ),
    inForce: () =>
      database
        .prepare('SELECT id, kind, name, reason, by, atMs FROM kills WHERE releasedAtMs IS NULL ORDER BY id')
        .all()
        .map((row) => killRow.parse(row)),
  }
}
