import type { Json } from '@sallyport/core'

/** One message as Slack is sent it. */
export interface SlackText {
  /** For notifications and old clients: our own words only. */
  readonly text: string
  readonly blocks: readonly Json[]
}

/** Of a section's text Slack takes 3,000 characters (Block Kit, section); one of ours becomes five at most. */
const pieceCharacters = 550
/** Of 50 that a message may have; what an agent can make of a line is far shorter. */
const piecesMax = 40

/** Slack reads three characters as its own (docs.slack.dev, escaping text); a backtick would end the block that keeps the rest from being read. */
function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('`', 'ˋ')
}

/**
 * A title of ours, what happened in a block of code, and a link of ours: no name, link, emoji or emphasis in an agent's words is Slack's, and nothing
 * of them is in what a telephone shows on its locked screen.
 */
export function writeSlack(title: string, lines: readonly SlackLine[]): SlackText {
  const own = escapeSlack(title)
  return { text: own, blocks: [section(`*${own}*`), ...lines.flatMap(blocksOf)] }
}

export interface SlackLine {
  /** Every character visible already; anybody's words. */
  readonly words: string
  readonly url: string | null
}

function blocksOf({ words, url }: SlackLine): readonly Json[] {
  const characters = Array.from(words)
  const pieces = Array.from({ length: Math.min(piecesMax, Math.ceil(characters.length / pieceCharacters)) }, (_, at) =>
    characters.slice(at * pieceCharacters, (at + 1) * pieceCharacters).join(''),
  )
  const code = pieces.map((piece) => section(`\`\`\`${escapeSlack(piece)}\`\`\``))
  return url === null ? code : [...code, section(`<${escapeSlack(url)}|Look at it>`)]
}

/** `verbatim`: Slack makes no link or name of what looks like one. */
function section(text: string): Json {
  return { type: 'section', text: { type: 'mrkdwn', text, verbatim: true } }
}
