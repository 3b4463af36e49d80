/** What a snapshot added to the stores, and until when it is kept. */
export interface Weight {
  readonly madeAtMs: number
  readonly retainUntilMs: number
  /** Stored bytes that were not there before it. */
  readonly addedBytes: number
}

export interface StorageForecast {
  readonly bytes: number
  /** Over the last 30 days, or as long as there have been snapshots; at least a day. */
  readonly addedBytesPerDay: number
  /** If it goes on like that, and what ends by then goes. */
  readonly bytesIn30Days: number
}

const dayMs = 86_400_000
const windowDays = 30

/** How much room the copies take, and will. What several snapshots share is counted for the first of them. */
export function forecastStorage(bytes: number, weights: readonly Weight[], nowMs: number): StorageForecast {
  const recent = weights.filter(({ madeAtMs }) => madeAtMs > nowMs - windowDays * dayMs)
  const oldestMs = recent.reduce((oldest, { madeAtMs }) => Math.min(oldest, madeAtMs), nowMs)
  const days = Math.max(1, (nowMs - oldestMs) / dayMs)
  const addedBytesPerDay = Math.round(sumOf(recent) / days)
  const ending = sumOf(weights.filter(({ retainUntilMs }) => retainUntilMs <= nowMs + windowDays * dayMs))
  return { bytes, addedBytesPerDay, bytesIn30Days: Math.max(0, bytes + windowDays * addedBytesPerDay - ending) }
}

function sumOf(weights: readonly Weight[]): number {
  return weights.reduce((sum, { addedBytes }) => sum + addedBytes, 0)
}

export interface WalForecast {
  readonly storedBytes: number
  readonly addedBytesPerDay: number
  /** What 30 days come to if none of it went before: retention is what makes it less. */
  readonly bytesIn30Days: number
}

/** How much room WAL takes, and how fast it grows, by what each stream came to since its first piece that is still kept. */
export function forecastWal(
  streams: readonly { readonly storedBytes: number; readonly firstAtMs: number; readonly lastAtMs: number }[],
): WalForecast {
  let storedBytes = 0
  let addedBytesPerDay = 0
  for (const stream of streams) {
    storedBytes += stream.storedBytes
    addedBytesPerDay += Math.round(stream.storedBytes / Math.max(1, (stream.lastAtMs - stream.firstAtMs) / dayMs))
  }
  return { storedBytes, addedBytesPerDay, bytesIn30Days: storedBytes + windowDays * addedBytesPerDay }
}
