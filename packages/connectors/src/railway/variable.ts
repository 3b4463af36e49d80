import type { Json } from '@sallyport/core'
import { destroys, escalates, type Finding, unknown, worst, writes } from './finding.ts'
import { fieldOf, isObject } from './given-value.ts'

/** Names under which credentials are kept. */
const credentialName =
  /secret|passw|pwd|credential|token|private|api_?key|access_?key|_key(?:_|$)|^key$|(?:^|_)(?:database|db|pg|postgres(?:ql)?|mysql|mongo(?:db)?|redis|amqp|broker)\w*_(?:url|uri)|dsn|connection_?string|salt|certificate|jwt|webhook/i
/** Names by which a program is made to load or run something else, or to send what it sends elsewhere. */
const loaderName =
  /^(?:LD_|DYLD_)|^(?:NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|NODE_TLS_REJECT_UNAUTHORIZED|PATH|PYTHONPATH|PYTHONSTARTUP|PYTHONHOME|RUBYOPT|RUBYLIB|PERL5OPT|PERL5LIB|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|BASH_ENV|SHELLOPTS|PROMPT_COMMAND|GIT_SSH_COMMAND|IFS)$|_PROXY$|^(?:NIXPACKS|RAILPACK|RAILWAY)_/i
const reference = /\$\{\{([^}]*)/g

/** UTF-16 units of a name; systems that run programs refuse far shorter ones. */
const nameLengthMax = 200

/** A name as it may stand in a sentence: others come from an agent and could say anything. */
function sayName(name: string): string {
  return /^\w{1,80}$/.test(name) ? `the variable ${name}` : 'a variable'
}

/** What setting a variable would do. `own` are names of services made by the same request, whose variables are no secrets yet. */
export function judgeVariable(name: string, given: Json, own: ReadonlySet<string> = new Set()): Finding {
  if (name.length > nameLengthMax) return unknown('sets a variable whose name is too long')
  const text = isObject(given) ? (fieldOf(given, 'value') ?? fieldOf(given, 'defaultValue')) : given
  if (given === null || (text === null && isObject(given) && Object.hasOwn(given, 'value')))
    return destroys(`deletes ${sayName(name)}; its value is kept nowhere else`)
  if (text === undefined) return writes('describes a variable')
  if (typeof text !== 'string' && typeof text !== 'number' && typeof text !== 'boolean')
    return unknown('sets a variable to something that is no text')
  if (loaderName.test(name)) return escalates(`sets ${sayName(name)}, which decides what code runs or where it connects`)
  if (credentialName.test(name)) return escalates(`sets ${sayName(name)}, which looks like a credential`)
  return findForeignReference(String(text), own) ?? writes('sets a variable by its name')
}

/** A reference to another service's variable hands its value over. */
export function findForeignReference(text: string, own: ReadonlySet<string> = new Set()): Finding | null {
  for (const [, inner = ''] of text.matchAll(reference)) {
    const [service = ''] = inner.trim().split('.')
    if (inner.includes('.') && !own.has(service.trim())) return escalates('hands over the value of another variable by reference')
    if (!inner.includes('.') && !/^\s*(?:\w+|secret\([^)]*\)|randomInt\([^)]*\))\s*$/.test(inner))
      return unknown('holds a reference that can not be read')
  }
  return null
}

/** A map of variables by name. */
export function judgeVariables(given: Json | undefined, own: ReadonlySet<string> = new Set()): Finding {
  if (given === undefined || given === null) return writes('sets no variable')
  if (!isObject(given)) return unknown('gives variables as something that is no map')
  return worst(
    writes('sets variables by their names'),
    Object.entries(given).map(([name, value]) => judgeVariable(name, value, own)),
  )
}
