export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 row`, `48,211 rows`. */
export function formatAmount(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

const byteUnits = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Rounded with the exact number beside it, because the exact number is what is signed. */
export function formatBytes(bytes: number): string {
  const step = bytes < 1000 ? 0 : Math.min(byteUnits.length - 1, Math.floor(Math.log10(bytes) / 3))
  if (step === 0) return formatAmount(bytes, 'byte')
  return `${(bytes / 1000 ** step).toFixed(1)} ${byteUnits[step] ?? ''} (${formatCount(bytes)} bytes)`
}

/** `4 s`, `14 min 20 s`, `2 h 5 min`, `3 d 4 h`. Never negative. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return joinUnits(Math.floor(seconds / 60), 'min', seconds % 60, 's')
  if (seconds < 86_400) return joinUnits(Math.floor(seconds / 3600), 'h', Math.floor((seconds % 3600) / 60), 'min')
  return joinUnits(Math.floor(seconds / 86_400), 'd', Math.floor((seconds % 86_400) / 3600), 'h')
}

function joinUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`
}

/** `2026-11-22 10:42:13 UTC`. */
export function formatInstant(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
