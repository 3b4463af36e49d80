/** What a snapshot holds, in words: its tables, with the volume they lie on said once. */
export function describeCopied(names: readonly string[]): string {
  const volumes = new Map<string, string[]>()
  for (const name of names) {
    const at = name.indexOf('/')
    const volume = at === -1 ? '' : name.slice(0, at)
    const tables = volumes.get(volume) ?? []
    volumes.set(volume, [...tables, name.slice(at + 1)])
  }
  const parts = [...volumes].map(([volume, tables]) =>
    volume === '' ? tables.join(', ') : `volume ${volume} with ${tables.join(', ')}`,
  )
  return parts.join('; ')
}
