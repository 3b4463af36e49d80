import type { Finding } from './finding.ts'
import type { Hash } from './hash.ts'

const findingsMax = 1000

/**
 * Says where entries differ from what was signed, by their leaf hashes: changed, removed, added, reordered.
 * Greedy and linear: it names every kind of tampering right when there is one, and a plausible reading when there are several.
 * @param offset the index of the first hash in both lists
 */
export function explainDifference(signed: readonly Hash[], found: readonly Hash[], offset: number): readonly Finding[] {
  const signedKeys = signed.map(keyOf)
  const foundKeys = found.map(keyOf)
  const signedPlaces = placesOf(signedKeys)
  const foundPlaces = placesOf(foundKeys)
  const findings: Finding[] = []
  let signedAt = 0
  let foundAt = 0
  let end = { signed: signedKeys.length, found: foundKeys.length }
  while (end.signed > 0 && end.found > 0 && signedKeys[end.signed - 1] === foundKeys[end.found - 1])
    end = { signed: end.signed - 1, found: end.found - 1 }
  while ((signedAt < end.signed || foundAt < end.found) && findings.length < findingsMax) {
    const wanted = signedAt < end.signed ? signedKeys[signedAt] : undefined
    const present = foundAt < end.found ? foundKeys[foundAt] : undefined
    if (wanted === present) {
      signedAt += 1
      foundAt += 1
      continue
    }
    const wantedLater = wanted !== undefined ? nextPlace(foundPlaces, wanted, foundAt) : null
    const presentLater = present !== undefined ? nextPlace(signedPlaces, present, signedAt) : null
    const index = offset + foundAt
    if (wantedLater !== null && presentLater !== null) {
      findings.push({ kind: 'entries_reordered', index, count: Math.max(end.signed - signedAt, end.found - foundAt) })
      return findings
    }
    if (present === undefined || (presentLater !== null && wanted !== undefined)) {
      const next = presentLater ?? end.signed
      findings.push({ kind: 'entry_removed', index, count: next - signedAt })
      signedAt = next
    } else if (wanted === undefined || wantedLater !== null) {
      const next = wantedLater ?? end.found
      findings.push({ kind: 'entry_added', index, count: next - foundAt })
      foundAt = next
    } else {
      findings.push({ kind: 'entry_changed', index })
      signedAt += 1
      foundAt += 1
    }
  }
  return findings
}

function keyOf(hash: Hash): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1')
}

function placesOf(keys: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const places = new Map<string, number[]>()
  keys.forEach((key, place) => {
    const known = places.get(key)
    if (known) known.push(place)
    else places.set(key, [place])
  })
  return places
}

/** The first place of a key at or after `from`, or null. */
function nextPlace(places: ReadonlyMap<string, readonly number[]>, key: string, from: number): number | null {
  const known = places.get(key) ?? []
  let low = 0
  let high = known.length
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((known[middle] ?? 0) < from) low = middle + 1
    else high = middle
  }
  return known[low] ?? null
}
