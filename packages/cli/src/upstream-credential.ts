import { parseDatabaseUrl, type DatabaseUrl } from './database-url.ts'
import { CommandFailure, exitCodes } from './failure.ts'
import { describeSurvey, surveyDatabase, type Survey } from './database-survey.ts'
import { readStandardInput, resolveReference } from './reference.ts'

/** A credential as it was handed over, and what can be seen of the database with it. */
export interface HandedCredential {
  readonly database: DatabaseUrl
  readonly survey: Survey
  /** What the configuration will say; null when it came on standard input and has to be written to a file first. */
  readonly reference: string | null
}

/** From `--from REFERENCE`, or standard input. Connects once, changes nothing. */
export async function takeCredential(from: string | undefined, folder: string): Promise<HandedCredential> {
  const text = from === undefined ? await readStandardInput('database URL') : await resolveReference(from, folder)
  const database = parseDatabaseUrl(text)
  return { database, survey: await surveyDatabase(database), reference: from ?? null }
}

export function describeCredential({ database, survey }: HandedCredential, role: 'use' | 'protect'): string {
  const lines = [`${role}: ${database.label}`, ...describeSurvey(survey).map((line) => `  ${line}`)]
  return `${lines.join('\n')}\n`
}

/** A token for an http upstream. It is not tried: that would send it somewhere before anybody agreed to the configuration. */
interface HandedToken {
  readonly token: string
  readonly reference: string | null
}

/** From `--from REFERENCE`, or standard input. */
export async function takeToken(from: string | undefined, folder: string): Promise<HandedToken> {
  const token = from === undefined ? await readStandardInput('token') : await resolveReference(from, folder)
  if (isToken(token)) return { token, reference: from ?? null }
  throw new CommandFailure(
    exitCodes.usage,
    'unreadable',
    'What was given is no token.',
    'Nothing was changed.',
    'Give one line of at least 8 visible characters without blanks.',
  )
}

/** What fits into a header as it is. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]{8,}$/.test(text)
}
