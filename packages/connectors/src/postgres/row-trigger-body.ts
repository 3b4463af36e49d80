/**
 * Reads the body of a PL/pgSQL trigger far more strictly than the server would run it: assignments to columns of NEW, IF, RAISE, NULL, RETURN, and
 * INSERT of one row, over expressions that hold no query. What is read whole has no effect but on the very row the trigger runs for and the rows
 * it adds, so long as the names it calls by are the server's own (row-trigger.ts asks). What changes other rows, tells others, or runs text is not read: rows that come and go unseen
 * (TRUNCATE, DDL, dblink, NOTIFY, large objects) are counted by nobody.
 */
export type TriggerBody =
  | {
      readonly ok: true
      /** Columns of NEW that it assigns. */
      readonly assigned: readonly string[]
      /** It may leave the row as it is: RETURN NULL. */
      readonly skips: boolean
      /** Tables that it may add a row to, once for each INSERT in it. */
      readonly inserts: readonly { readonly schema: string | null; readonly name: string }[]
      readonly names: Names
    }
  | { readonly ok: false; readonly why: string }

/** What an expression calls by name. */
export interface Names {
  readonly functions: readonly string[]
  readonly types: readonly string[]
  readonly operators: readonly string[]
}

/** UTF-16 units; no trigger that only stamps a row is longer. */
const bodyMax = 16_384
/** IF within IF. */
const depthMax = 20

interface Token {
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'sign'
  /** Words in lower case, names without their quotes. */
  readonly text: string
}

const tokenPattern =
  /\s+|--[^\n]*(?:\n|$)|\/\*(?:(?!\/\*)[^])*?\*\/|([a-z_][a-z0-9_]*)|"((?:[^"\0]|"")+)"|('(?:[^'\\]|'')*')|([0-9]+(?:\.[0-9]+)?)|(:=|::|[-+*/<>=~!@#%^&|`?]+|[(),;.[\]])/giy

/** Null: something that none of the few things read here is written with. */
function cut(source: string): readonly Token[] | null {
  const tokens: Token[] = []
  let at = 0
  for (const match of source.matchAll(tokenPattern)) {
    const [whole, word, name, text, number, sign] = match
    at += whole.length
    if (word !== undefined) tokens.push({ kind: 'word', text: word.toLowerCase() })
    if (name !== undefined) tokens.push({ kind: 'name', text: name.replaceAll('""', '"') })
    if (text !== undefined) tokens.push({ kind: 'text', text })
    if (number !== undefined) tokens.push({ kind: 'number', text: number })
    if (sign === undefined) continue
    // A sign that holds the begin of a comment is cut elsewhere by the server.
    if (sign.includes('--') || sign.includes('/*')) return null
    tokens.push({ kind: 'sign', text: sign })
  }
  return at === source.length ? tokens : null
}

class Unread extends Error {}

/** Words of SQL's grammar that an expression may hold. None of them can begin a query. */
const plainWords = new Set(
  `and or not is null true false unknown distinct from in like ilike between symmetric case when then else end at time zone
   current_timestamp current_date localtimestamp localtime current_time current_user session_user varying precision with without array`.split(
    /\s+/,
  ),
)
const insertWords = new Set([...plainWords, 'default'])
/** Written like functions, and part of the grammar. */
const grammarCalls = new Set([
  'coalesce',
  'nullif',
  'greatest',
  'least',
  'row',
  'and',
  'or',
  'not',
  'in',
  'case',
  'when',
  'then',
  'else',
  'from',
  'distinct',
  'between',
  'like',
  'ilike',
  'any',
  'all',
  'some',
])
/** `interval '1 day'`: a type before its text. */
const typedTexts = new Set(['interval', 'timestamp', 'timestamptz', 'date', 'time'])
const raiseWords = new Set(
  'notice warning exception info log debug using errcode message detail hint column constraint table schema'.split(' '),
)

class Reader {
  readonly #tokens: readonly Token[]
  readonly #assigned = new Set<string>()
  readonly #functions = new Set<string>()
  readonly #types = new Set<string>()
  readonly #operators = new Set<string>()
  readonly #inserts: { readonly schema: string | null; readonly name: string }[] = []
  #at = 0
  #skips = false

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  body(): TriggerBody {
    this.#take('begin')
    this.#statements(0)
    this.#take('end')
    if (this.#is(';')) this.#at += 1
    if (this.#at !== this.#tokens.length) throw new Unread('it goes on after its end')
    return { ok: true, assigned: [...this.#assigned], skips: this.#skips, inserts: this.#inserts, names: this.#names() }
  }

  condition(): Names {
    this.#expression([], plainWords)
    if (this.#at !== this.#tokens.length) throw new Unread('its condition goes on after its end')
    return this.#names()
  }

  #names(): Names {
    return { functions: [...this.#functions], types: [...this.#types], operators: [...this.#operators] }
  }

  #peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead]
  }

  #is(text: string, ahead = 0): boolean {
    const token = this.#peek(ahead)
    return token !== undefined && (token.kind === 'word' || token.kind === 'sign') && token.text === text
  }

  #take(text: string): void {
    if (!this.#is(text)) throw new Unread(`it holds ${this.#shown()}`)
    this.#at += 1
  }

  #shown(): string {
    const token = this.#peek()
    return token === undefined ? 'no end' : token.kind === 'text' ? 'a text' : token.text.slice(0, 40)
  }

  #statements(depth: number): void {
    if (depth > depthMax) throw new Unread('it is nested too deeply')
    while (!this.#is('end') && !this.#is('else') && !this.#is('elsif') && !this.#is('elseif')) this.#statement(depth)
  }

  #statement(depth: number): void {
    if (this.#is('new')) return this.#assignment()
    if (this.#is('if')) return this.#if(depth)
    if (this.#is('return')) return this.#return()
    if (this.#is('insert')) return this.#insert()
    if (this.#is('raise')) {
      this.#at += 1
      this.#expression([';'], new Set([...plainWords, ...raiseWords]))
      return this.#take(';')
    }
    this.#take('null')
    this.#take(';')
  }

  #assignment(): void {
    this.#take('new')
    this.#take('.')
    const column = this.#peek()
    if (column?.kind !== 'word' && column?.kind !== 'name') throw new Unread('it assigns something other than a column')
    this.#at += 1
    if (!this.#is(':=') && !this.#is('=')) throw new Unread(`it holds ${this.#shown()}`)
    this.#at += 1
    this.#assigned.add(column.text)
    this.#expression([';'], plainWords)
    this.#take(';')
  }

  /** INSERT INTO table (columns) VALUES (…), or SELECT … of no table. */
  #insert(): void {
    this.#at += 1
    this.#take('into')
    const first = this.#name()
    const second = this.#is('.') ? this.#afterDot() : null
    this.#inserts.push(second === null ? { schema: null, name: first } : { schema: first, name: second })
    if (this.#is('(')) {
      this.#at += 1
      this.#name()
      while (this.#is(',')) {
        this.#at += 1
        this.#name()
      }
      this.#take(')')
    }
    if (!this.#is('values') && !this.#is('select')) throw new Unread(`it holds ${this.#shown()}`)
    this.#at += 1
    this.#expression([';'], insertWords)
    this.#take(';')
  }

  #afterDot(): string {
    this.#at += 1
    return this.#name()
  }

  #name(): string {
    const token = this.#peek()
    if (token?.kind !== 'word' && token?.kind !== 'name') throw new Unread(`it holds ${this.#shown()}`)
    this.#at += 1
    return token.text
  }

  #if(depth: number): void {
    this.#at += 1
    this.#expression(['then'], plainWords)
    this.#take('then')
    this.#statements(depth + 1)
    while (this.#is('elsif') || this.#is('elseif')) {
      this.#at += 1
      this.#expression(['then'], plainWords)
      this.#take('then')
      this.#statements(depth + 1)
    }
    if (this.#is('else')) {
      this.#at += 1
      this.#statements(depth + 1)
    }
    this.#take('end')
    this.#take('if')
    this.#take(';')
  }

  #return(): void {
    this.#at += 1
    if (this.#is('null')) this.#skips = true
    else if (!this.#is('new') && !this.#is('old')) throw new Unread('it returns something other than the row')
    this.#at += 1
    this.#take(';')
  }

  /** Up to one of `ends` that belongs to no CASE. */
  #expression(ends: readonly string[], allowed: ReadonlySet<string>): void {
    let cases = 0
    for (let token = this.#peek(); token !== undefined; token = this.#peek()) {
      if (cases === 0 && ends.includes(token.text) && (token.kind === 'word' || token.kind === 'sign')) return
      if (this.#is('case')) cases += 1
      if (this.#is('end')) cases -= 1
      if (cases < 0 || this.#is(';') || this.#is(':=')) throw new Unread(`it holds ${this.#shown()}`)
      this.#piece(token, allowed)
    }
    if (ends.length > 0) throw new Unread('it has no end')
  }

  #piece(token: Token, allowed: ReadonlySet<string>): void {
    if (token.kind === 'name') throw new Unread(`it holds the name ${this.#shown()}`)
    if (token.kind === 'sign') {
      this.#at += 1
      if (token.text === '::') return this.#type()
      if (token.text === '.') throw new Unread('it holds a name with a dot')
      if (/^[-+*/<>=~!@#%^&|`?]+$/.test(token.text)) this.#operators.add(token.text)
      return
    }
    if (token.kind === 'word') return this.#word(token.text, allowed)
    this.#at += 1
    if (token.kind === 'text' && this.#peek()?.kind === 'text') throw new Unread('it holds two texts in a row')
  }

  #word(word: string, allowed: ReadonlySet<string>): void {
    // FROM names a relation but after DISTINCT, and a relation may be a view that calls anything.
    if (word === 'from' && !this.#is('distinct', -1)) throw new Unread('it holds a query')
    this.#at += 1
    const next = this.#peek()
    if (word === 'new' || word === 'old') return this.#column()
    if (word === 'pg_catalog' && this.#is('.')) {
      const called = this.#peek(1)
      if (called?.kind !== 'word' || !this.#is('(', 2)) throw new Unread('it names something of the catalog')
      this.#at += 2
      this.#functions.add(called.text)
      return
    }
    if (next?.kind === 'text') {
      if (!typedTexts.has(word) && !allowed.has(word)) throw new Unread(`it holds ${word} before a text`)
      if (typedTexts.has(word)) this.#types.add(word)
      return
    }
    if (this.#is('(')) {
      if (!grammarCalls.has(word)) this.#functions.add(word)
      return
    }
    if (!allowed.has(word) && !word.startsWith('tg_')) throw new Unread(`it holds ${word}`)
  }

  /** NEW or OLD, a column of it, or all of them. A dot after that could call a function. */
  #column(): void {
    if (!this.#is('.')) return
    const column = this.#peek(1)
    if (column?.kind !== 'word' && column?.kind !== 'name' && !this.#is('*', 1)) throw new Unread('it holds half a name')
    this.#at += 2
    if (this.#is('.') || this.#is('(')) throw new Unread('it holds a name of three parts')
  }

  #type(): void {
    const type = this.#peek()
    if (type?.kind !== 'word') throw new Unread('it casts to a type with quotes')
    this.#types.add(type.text)
    this.#at += 1
    if (this.#is('.')) throw new Unread('it casts to a type of some schema')
    if (this.#is('(') && this.#peek(1)?.kind === 'number') this.#at += 2
  }
}

function attempt<Out>(source: string, read: (reader: Reader) => Out): Out | { readonly ok: false; readonly why: string } {
  if (source.length > bodyMax) return { ok: false, why: 'it is too long' }
  const tokens = cut(source)
  if (tokens === null) return { ok: false, why: 'it is written with more than is read here' }
  try {
    return read(new Reader(tokens))
  } catch (error) {
    if (error instanceof Unread) return { ok: false, why: error.message }
    throw error
  }
}

/** The default of a column, as the server prints it. */
export function readDefault(
  text: string,
): { readonly ok: true; readonly names: Names } | { readonly ok: false; readonly why: string } {
  return attempt(text, (reader) => ({ ok: true, names: reader.condition() }) as const)
}

export function readTriggerBody(source: string): TriggerBody {
  return attempt(source, (reader) => reader.body())
}

/** The condition of CREATE TRIGGER … WHEN (…), as the server prints it. No condition: no names. */
export function readTriggerCondition(
  definition: string,
): { readonly ok: true; readonly names: Names } | { readonly ok: false; readonly why: string } {
  const found = / WHEN \(([^]*)\) EXECUTE (?:FUNCTION|PROCEDURE) /.exec(definition)
  if (!found) {
    // A name can hold the word: then it is not told apart, and not read.
    if (/ WHEN /.test(definition)) return { ok: false, why: 'its condition is not found' }
    return { ok: true, names: { functions: [], types: [], operators: [] } }
  }
  return attempt(found[1] ?? '', (reader) => ({ ok: true, names: reader.condition() }) as const)
}
