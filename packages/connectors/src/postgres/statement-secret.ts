import type { Operation } from '@sallyport/core'
import { bodies, child, list, named, optionText, text, type Named, type Tree } from './parser-tree.ts'

const secretName =
  /(^|[._])(pass(word|wd|phrase)?|secret|token|credentials?|jwt|((api|access|private|secret|encryption|signing|master|role)_?keys?))($|[._])/i
const conninfoWithSecret = /(^|[\s'])(password|sslpassword)\s*=|^[a-z]+:\/\/[^/@\s]*:[^/@\s]+@/i

/** The server's own settings whose values are credentials, or commands that print one. */
const secretSettings = new Set(['primary_conninfo', 'ssl_passphrase_command'])

/** Whether the value of a setting may be a credential: what reads it shows one. The claims that a web request carries are none. */
export function isSecretSettingName(rawName: string): boolean {
  const name = rawName.trim().toLowerCase()
  if (secretSettings.has(name)) return true
  return name.includes('.') && !name.startsWith('request.') && secretName.test(name)
}

/** Views and functions that show every setting there is; which of them a role may see is the server's to say. */
const settingLists = new Set(['pg_settings', 'pg_show_all_settings'])

export function isSettingList(name: string): boolean {
  return settingLists.has(name)
}

/** Whether the text of a statement names a setting whose value is a credential, as a condition over such a list would. */
export function namesSecretSetting(sql: string): boolean {
  const words = sql.toLowerCase()
  return [...secretSettings].some((name) => words.includes(name))
}

/**
 * Whether a statement sets a credential by its text: the text then stays off the log, and people approve it without reading it (DESIGN §6).
 * Only what is nothing but that. A call of dblink or a COPY … PROGRAM can hold a password too, but what else it does people have to read.
 */
function setsSecret({ type, body }: Named): boolean {
  switch (type) {
    case 'CreateRoleStmt':
    case 'AlterRoleStmt':
      return optionsOf(body).some((option) => text(option, 'defname') === 'password' && optionText(option['arg']) !== '')
    case 'CreateUserMappingStmt':
    case 'AlterUserMappingStmt':
    case 'CreateForeignServerStmt':
    case 'AlterForeignServerStmt':
    case 'CreateFdwStmt':
    case 'AlterFdwStmt':
    case 'CreateForeignTableStmt':
      return optionsOf(body).some((option) => isSecret(text(option, 'defname'), optionText(option['arg'])))
    case 'CreateSubscriptionStmt':
    case 'AlterSubscriptionStmt':
      return conninfoWithSecret.test(text(body, 'conninfo'))
    case 'VariableSetStmt':
      return isSecretSetting(body)
    case 'AlterSystemStmt':
    case 'AlterRoleSetStmt':
    case 'AlterDatabaseSetStmt':
      return isSecretSetting(child(body, 'setstmt'))
    default:
      return false
  }
}

function optionsOf(body: Tree): readonly Tree[] {
  return bodies(body, 'options', 'DefElem')
}

function isSecret(name: string, value: string): boolean {
  return value !== '' && (secretName.test(name) || conninfoWithSecret.test(value))
}

/** The server's own settings are no secrets but for connection strings; what applications keep in settings of their own may be. */
function isSecretSetting(setting: Tree | null): boolean {
  const name = text(setting, 'name')
  return list(setting, 'args').some((value) => {
    const written = named(value) === null ? '' : optionText(value)
    return name.includes('.') ? isSecret(name, written) : conninfoWithSecret.test(written)
  })
}

/** Says so to the pipeline, on everything that this statement does. */
export function markSecret(node: Named, operations: readonly Operation[]): readonly Operation[] {
  if (!setsSecret(node)) return operations
  return operations.map((operation) => ({ ...operation, context: { ...operation.context, secretInText: true } }))
}

/** Whether something else hides in a text that is withheld for a credential's sake. */
export function hidesBehindSecret(operations: readonly Operation[]): boolean {
  if (!operations.some(isMarked)) return false
  return operations.some((operation) => !isMarked(operation) && operation.context['transactionControl'] !== true)
}

function isMarked({ context }: Operation): boolean {
  return context['secretInText'] === true
}
