const entities: ReadonlyMap<string, string> = new Map([
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#39;', "'"],
  ['&#x27;', "'"],
])

/** What of a page of ours a person reads: no tags, one line. Enough for words; not for hostile HTML. */
export function textOf(page: string): string {
  const words = page
    .replaceAll(/<(script|style)\b[^]*?<\/\1>/g, ' ')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/&(?:amp|lt|gt|quot|#39|#x27);/g, (entity) => entities.get(entity) ?? entity)
  return words.replaceAll(/\s+/g, ' ')
}
