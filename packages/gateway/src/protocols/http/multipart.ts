/** A part, and the name it stands under. */
export interface Part {
  readonly key: string
  readonly text: string
}

const partsMax = 1_000

/** The parts of a multipart body, each under the name that its head gives it. Heads are read, not trusted: a part without a name has the name ''. */
export function* readParts(text: string, contentType: string): Generator<Part, void> {
  const boundary = /^multipart\/[^;]{1,64};(?:[^]{0,256};)?\s*boundary="?([^";\s]{1,70})/i.exec(contentType)?.[1]
  if (boundary === undefined) return
  let count = 0
  for (const part of text.split(`--${boundary}`)) {
    const headEnd = /\r?\n\r?\n/.exec(part)
    if (headEnd === null) continue
    if ((count += 1) > partsMax) return
    const head = part.slice(0, headEnd.index)
    const key = /;\s*name\*?=(?:"([^"]{0,256})"|([^\s;"]{1,256}))/i.exec(head)
    yield { key: key?.[1] ?? key?.[2] ?? '', text: part.slice(headEnd.index + headEnd[0].length).trim() }
  }
}
