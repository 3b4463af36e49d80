import type { AskedOperation, ImpactKind, Question } from '@sallyport/core'
import { worstKind } from '@sallyport/core'
import { formatAmount, formatDuration } from './time-words.ts'

/** What an impact does, as a verb after "it". A new kind of impact is a type error here. */
function verbOf(kind: ImpactKind): string {
  switch (kind) {
    case 'read':
      return 'reads'
    case 'write':
      return 'changes'
    case 'disrupt':
      return 'interrupts'
    case 'escalate':
      return 'changes access to or protections of'
    case 'destroy':
      return 'deletes'
    case 'unknown':
      return 'could do anything, being unreadable, to'
  }
}

/** What stands on the badge of an impact: a sign and a word, so that colour is never the only sign. */
export function badgeOf(kind: ImpactKind): {
  readonly sign: string
  readonly word: string
  readonly tone: 'calm' | 'warn' | 'danger'
} {
  switch (kind) {
    case 'read':
      return { sign: '○', word: 'read', tone: 'calm' }
    case 'write':
      return { sign: '✎', word: 'write', tone: 'calm' }
    case 'disrupt':
      return { sign: '◐', word: 'disrupt', tone: 'warn' }
    case 'escalate':
      return { sign: '▲', word: 'escalate', tone: 'warn' }
    case 'destroy':
      return { sign: '✕', word: 'destroy', tone: 'danger' }
    case 'unknown':
      return { sign: '?', word: 'unknown', tone: 'danger' }
  }
}

interface Measured {
  readonly kind: ImpactKind
  readonly targets: readonly string[]
  /** What is acted on that is no part of a database, and may carry one: a volume. */
  readonly things: readonly string[]
  readonly rows: number
  readonly rowsUncounted: number
  readonly tables: readonly string[]
  readonly dependants: readonly string[]
}

function measure(operations: readonly AskedOperation[]): Measured {
  const touching = operations.filter(({ kind }) => kind !== 'read')
  const counted = touching.length === 0 ? operations : touching
  return {
    kind: worstKind(operations.map(({ kind }) => kind)),
    targets: [...new Set(counted.flatMap(({ resources }) => resources.map(({ type, name }) => `${type} ${name}`)))],
    things: [
      ...new Set(
        counted.flatMap(({ resources }) => resources.filter(({ type }) => type === 'volume').map(({ name }) => `volume ${name}`)),
      ),
    ],
    rows: counted.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
    rowsUncounted: counted.filter(({ rows }) => rows === null).length,
    tables: [...new Set(counted.flatMap(({ tables }) => tables))],
    dependants: [...new Set(counted.flatMap(({ dependants }) => dependants))],
  }
}

/** "deletes 48,211 rows in 3 tables" and "2 views depend on it": the measured scope in words, worst first. */
export function scopeSentences(question: Question): { readonly headline: string; readonly further: readonly string[] } {
  const measured = measure(question.operations)
  const further: string[] = []
  if (measured.dependants.length > 0) further.push(countDependants(measured.dependants))
  if (measured.rowsUncounted > 0 && measured.rows > 0) {
    further.push(`rows of ${formatAmount(measured.rowsUncounted, 'operation')} could not be counted`)
  }
  const { steps } = question
  const headline = headlineOf(measured)
  return { headline: steps === undefined ? headline : `plan of ${formatAmount(steps.length, 'step')}: ${headline}`, further }
}

function headlineOf(measured: Measured): string {
  const { kind, rows, tables, targets, things } = measured
  const [thing] = things
  if (thing !== undefined) {
    const others = things.length === 1 ? '' : ` and ${formatAmount(things.length - 1, 'other thing')}`
    const lost = rows > 0 || tables.length > 0 ? `, and with it ${objectOf(measured)}` : ''
    return `${verbOf(kind)} ${thing}${others}${lost}`
  }
  const nameless = rows === 0 && tables.length === 0 && targets.length === 0
  if (nameless && kind === 'unknown') return 'could do anything: the gate cannot read it'
  if (nameless && kind === 'escalate') return 'changes access or protections'
  return `${verbOf(kind)} ${objectOf(measured)}`
}

function objectOf(measured: Measured): string {
  const { rows, rowsUncounted, tables } = measured
  const where =
    tables.length === 1 ? ` in ${tables[0] ?? ''}` : tables.length > 1 ? ` in ${formatAmount(tables.length, 'table')}` : ''
  if (rowsUncounted === 0) return `${formatAmount(rows, 'row')}${where}`
  if (rows > 0) return `at least ${formatAmount(rows, 'row')}${where}`
  if (tables.length > 1) return formatAmount(tables.length, 'table')
  if (tables.length === 1) return `table ${tables[0] ?? ''}`
  const [target] = measured.targets
  if (target === undefined) return 'what the gate could not measure'
  return measured.targets.length === 1 ? target : `${target} and ${formatAmount(measured.targets.length - 1, 'other thing')}`
}

const dependantWord =
  /^(?:(mount)ed|(database|materialized view|foreign key|view|function|trigger|sequence|rule|policy|constraint|index|table))\b/i

/** `view public.daily` and `view public.weekly` → "2 views depend on it". Words we don't know stay "things". */
export function countDependants(dependants: readonly string[]): string {
  const groups = new Map<string, number>()
  for (const dependant of dependants) {
    const [, mount, kind] = dependantWord.exec(dependant) ?? []
    const word = (mount ?? kind)?.toLowerCase()
    groups.set(word ?? 'thing', (groups.get(word ?? 'thing') ?? 0) + 1)
  }
  const parts = [...groups].map(([word, count]) => formatAmount(count, word, pluralOf(word)))
  const verb = dependants.length === 1 ? 'depends' : 'depend'
  return `${parts.join(' and ')} ${verb} on it`
}

function pluralOf(word: string): string {
  if (word === 'policy') return 'policies'
  return word === 'index' ? 'indexes' : `${word}s`
}

/** "newest proven copy 4 s old". */
export function copyAge(newestCopyAtMs: number | null, nowMs: number): string {
  return newestCopyAtMs === null
    ? 'no proven copy of it exists yet'
    : `newest proven copy ${formatDuration(nowMs - newestCopyAtMs)} old`
}

/** The scope in one line, for lists and terminals. */
export function summarizeQuestion(question: Question): string {
  const { headline, further } = scopeSentences(question)
  return [headline, ...further].join('; ')
}

/** What the requirement on the copy promises. A new kind is a type error here. */
export function copySentence({ copy, protocol }: Pick<Question, 'copy' | 'protocol'>): string {
  switch (copy) {
    case 'none':
      return 'Nothing is lost, so no copy is made.'
    case 'rows':
      return 'The rows that change are sealed in the vault before they change, read back and compared; undo puts them back.'
    case 'tables':
      return protocol === 'http'
        ? 'Under lock, the whole database server is copied into the vault, started from that copy, and every table counted and compared. Only then is the call sent. Undo gives the data back, ready to be started; not the thing that is deleted.'
        : 'Under lock, the whole tables are copied into the vault, restored to a scratch table and compared. Only then does it run; undo puts them back.'
    case 'moved':
      return 'No copy of it is made. It is moved out of everybody’s reach before the statement runs, and kept for a time; undo moves it back until then. After that it is gone for good.'
    case 'impossible':
      return 'No copy can be made of what this destroys. Sallyport cannot bring it back.'
    case 'restore_point':
      return 'No copy can be made of what this destroys, but the whole server can be restored to the moment before it, on another machine or beside it: the restore point must be in the vault before it runs. Undo cannot put it back, and unlogged tables are not in it.'
  }
}

/** What happens past the most rows that were agreed to. */
export function limitSentence({ rowsMax, protocol }: Pick<Question, 'rowsMax' | 'protocol'>): string {
  if (rowsMax === null) return 'There are no rows to count.'
  const most = formatAmount(rowsMax, 'row')
  return protocol === 'http'
    ? `At most ${most} may be lost; with more, counted under lock, nothing is sent.`
    : `At most ${most} may change; past that it is rolled back.`
}

/** An agent's text on one line, for lists: of an HTTP request its first line and its body, since what lies between rarely says more. */
export function glanceText(text: string, characters: number): string {
  const [, first, body] = /^([A-Z]{3,7} https?:\/\/[^\r\n]*)\n(?:[^\r\n]+\n)*(?:\n([^]*))?$/.exec(text) ?? []
  const line = (first === undefined ? text : `${first} ${body ?? ''}`).replaceAll(/\s*[\r\n]+\s*/g, ' ⏎ ').trim()
  const rest = line.length - characters
  return rest <= 20 ? line : `${line.slice(0, characters).toWellFormed()} … and ${rest} more characters`
}
