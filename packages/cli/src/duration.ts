import { InvalidArgumentError } from 'commander'

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30s`, `15m`, `8h` or `7d` as milliseconds; for commander's option parsing. */
export function parseDuration(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(count) * (unitMs[unit ?? ''] ?? Number.NaN)
  if (!(ms > 0)) throw new InvalidArgumentError('A duration is written like 30s, 15m, 8h or 7d.')
  return ms
}
