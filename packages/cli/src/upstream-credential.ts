import { parseDatabaseUrl, type DatabaseUrl } from './database-url.ts'
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
  const text = from === undefined ? await readStandardInput() : await resolveReference(from, folder)
  const database = parseDatabaseUrl(text)
  return { database, survey: await surveyDatabase(database), reference: from ?? null }
}

export function describeCredential({ database, survey }: HandedCredential, role: 'use' | 'protect'): string {
  const lines = [`${role}: ${database.label}`, ...describeSurvey(survey).map((line) => `  ${line}`)]
  return `${lines.join('\n')}\n`
}
