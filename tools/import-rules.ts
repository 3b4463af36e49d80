import { posix } from 'node:path'
import { importedNames, type ImportedName } from './imported-names.ts'
import { isNode, nameOf, parseSource, walkSyntax, type SyntaxNode } from './syntax.ts'
import { listOf, textOf } from './json.ts'

/** Rules about single names, which dependency-cruiser can't see: it knows files, not what is taken from them. */
export interface NameViolation {
  readonly rule: string
  readonly file: string
  readonly line: number
  readonly what: string
}

interface NameRule {
  readonly name: string
  /** Why, said to whoever breaks it. */
  readonly why: string
  readonly files: RegExp
  readonly except?: RegExp
  find(source: string, file: string): readonly { readonly line: number; readonly what: string }[]
}

const testFile = /\.test\.ts$/
const protocolFile = /^packages\/gateway\/src\/protocols\//
const coreFile = /^packages\/core\/src\//

/** What a protocol may take from the modules that can also dial out: what listens, and nothing that connects. */
const listening: Readonly<Record<string, ReadonlySet<string>>> = {
  net: new Set(['createServer', 'Server', 'isIP', 'isIPv4', 'isIPv6', 'BlockList']),
  // TLSSocket ends TLS on a socket that came in; that it connects nowhere is seen by the calls.
  tls: new Set(['createServer', 'Server', 'createSecureContext', 'TLSSocket']),
  http: new Set([
    'createServer',
    'Server',
    'ServerResponse',
    'STATUS_CODES',
    'METHODS',
    'maxHeaderSize',
    'validateHeaderName',
    'validateHeaderValue',
  ]),
  https: new Set(['createServer', 'Server']),
  http2: new Set(['createServer', 'createSecureServer', 'constants']),
}

/** Randomness is injected into core, so that a run can be repeated. */
const pureCrypto = new Set(
  'createHash hash createHmac timingSafeEqual createPublicKey createPrivateKey sign verify KeyObject pbkdf2Sync'.split(' '),
)

const powersOfAProcess = 'fetch WebSocket EventSource XMLHttpRequest process globalThis eval Function require'.split(' ')
const clocksAndChance =
  'Date.now Date() Math.random performance setTimeout setInterval setImmediate AbortSignal.timeout console crypto'.split(' ')

const rules: readonly NameRule[] = [
  {
    name: 'clearance-only-by-govern',
    why: 'a clearance is the proof that govern let a request through; made anywhere else it proves nothing',
    files: /^(packages|bench)\//,
    except: /^packages\/core\/src\/(govern|clearance)\.ts$|\.test\.ts$/,
    find: (source, file) =>
      importedNames(source, file)
        .filter(
          (taken) =>
            !taken.typeOnly && (taken.name === 'makeClearance' || (taken.name === '*' && isClearanceFile(taken.module, file))),
        )
        .map((taken) => ({ line: taken.line, what: `takes ${taken.name} from ${taken.module}` })),
  },
  {
    name: 'protocol-opens-no-socket',
    why: 'bytes reach an upstream only by send(clearance, …)',
    files: protocolFile,
    except: testFile,
    find: (source, file) => [
      ...importedNames(source, file)
        .filter(dialsOut)
        .map((taken) => ({ line: taken.line, what: `takes ${taken.name} from ${taken.module}` })),
      ...memberCalls(source, new Set(['connect', 'createConnection', 'request'])),
    ],
  },
  {
    name: 'protocol-no-ambient-power',
    why: 'a protocol is handed all it needs; what the process could do or knows (its environment, fetch) is not its to use',
    files: protocolFile,
    except: testFile,
    find: (source) =>
      globalUses(source, [
        'fetch',
        'WebSocket',
        'EventSource',
        'XMLHttpRequest',
        'process',
        'globalThis',
        'eval',
        'Function',
        'require',
      ]),
  },
  {
    name: 'core-no-clock-no-chance',
    why: 'core decides by what it is given; time, chance and the process are ports',
    files: coreFile,
    except: testFile,
    find: (source, file) => [
      ...globalUses(source, [...clocksAndChance, ...powersOfAProcess]),
      ...importedNames(source, file)
        .filter((taken) => moduleName(taken.module) === 'crypto' && !taken.typeOnly && !pureCrypto.has(taken.name))
        .map((taken) => ({ line: taken.line, what: `takes ${taken.name} from ${taken.module}` })),
    ],
  },
  {
    name: 'imports-can-be-read',
    why: 'an import named by an expression could be any module, so no rule can judge it',
    files: /^packages\/(core|console|vault|gateway|connectors)\/src\//,
    except: testFile,
    find: (source, file) =>
      importedNames(source, file)
        .filter((taken) => taken.module === '?' || taken.module === '')
        .map((taken) => ({ line: taken.line, what: 'loads a module named by an expression' })),
  },
]

export const nameRuleNames: readonly string[] = rules.map((rule) => rule.name)

/** Everything one file does against the rules about names. `file` is relative to the project, with `/`. */
export function findNameViolations(file: string, source: string): readonly NameViolation[] {
  return rules
    .filter((rule) => rule.files.test(file) && rule.except?.test(file) !== true)
    .flatMap((rule) =>
      rule.find(source, file).map(({ line, what }) => ({ rule: rule.name, file, line, what: `${what}: ${rule.why}` })),
    )
}

function isClearanceFile(module: string, file: string): boolean {
  const path = module.replace(/[?#].*$/, '')
  return path.startsWith('.') && posix.join(posix.dirname(file), path) === 'packages/core/src/clearance.ts'
}

function moduleName(module: string): string {
  return module.replace(/^node:/, '')
}

function dialsOut(taken: ImportedName): boolean {
  const allowed = listening[moduleName(taken.module)]
  return allowed !== undefined && !taken.typeOnly && !allowed.has(taken.name)
}

/** Calls of a method by one of these names, whatever it is called on: a socket that came in could be told to connect elsewhere. */
function memberCalls(source: string, names: ReadonlySet<string>): { readonly line: number; readonly what: string }[] {
  const syntax = parseSource(source)
  const found: { line: number; what: string }[] = []
  walkSyntax(syntax.root, (node, ancestors) => {
    if (node.type !== 'MemberExpression' || !isNode(node.property)) return
    const name = propertyName(node.property)
    const called = ancestors[0]?.type === 'CallExpression' && ancestors[0].callee === node
    if (called && names.has(name)) found.push({ line: syntax.lines(node).first, what: `calls .${name}()` })
  })
  return found
}

function propertyName(property: SyntaxNode): string {
  if (property.type !== 'Computed') return nameOf(property)
  return isNode(property.expression) && property.expression.type === 'StringLiteral' ? textOf(property.expression.value) : ''
}

/** The parser marks a name that no scope of the file declares. */
const unresolved = 1

/** Uses of globals: `x`, `x.y` for one member of it, `x()` for a call or `new` without arguments. */
function globalUses(source: string, banned: readonly string[]): { readonly line: number; readonly what: string }[] {
  const syntax = parseSource(source)
  const found: { line: number; what: string }[] = []
  walkSyntax(syntax.root, (node, ancestors) => {
    if (node.type !== 'Identifier' || node.ctxt !== unresolved) return
    const name = textOf(node.value)
    const parent = ancestors[0]
    const forms = [name]
    if (parent?.type === 'MemberExpression' && parent.object === node && isNode(parent.property))
      forms.push(`${name}.${propertyName(parent.property)}`)
    const called =
      parent !== undefined && (parent.type === 'NewExpression' || parent.type === 'CallExpression') && parent.callee === node
    if (called && listOf(parent.arguments).length === 0) forms.push(`${name}()`)
    const form = banned.find((each) => forms.includes(each))
    if (form !== undefined) found.push({ line: syntax.lines(node).first, what: `uses ${form}` })
  })
  return found
}
