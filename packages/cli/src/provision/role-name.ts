import { createHash } from 'node:crypto'

/** Bytes of an identifier in PostgreSQL; a longer one would be cut without a word. */
const nameBytesMax = 63
const tagDigits = 10

/**
 * The role for this agent on this upstream. Roles belong to a whole server and names may hold the very characters that join them, so the tag
 * is over all three: `a.b` and `c` never make the role that `a` and `b.c` make, nor do two databases of one server.
 */
export function roleNameFor(upstream: string, agent: string, database: string): string {
  const tag = createHash('sha256')
    .update(JSON.stringify([upstream, agent, database]))
    .digest('hex')
    .slice(0, tagDigits)
  // Names of ours are ASCII, so characters are bytes.
  const words = `sallyport_${upstream}_${agent}`.slice(0, nameBytesMax - tagDigits - 1)
  return `${words}_${tag}`
}

/** What stands as comment on a role that we made. Another's role of that name is never touched. */
export function markOf(upstream: string, agent: string): string {
  return `Made by sallyport upstream provision: agent ${agent}, upstream ${upstream}.`
}
