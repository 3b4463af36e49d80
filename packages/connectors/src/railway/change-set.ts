import type { Describers, Json } from '@sallyport/core'
import { judgePatch } from './environment-patch.ts'
import { destroys, type Finding, unknown, worst, writes } from './finding.ts'
import { fieldOf, isList, isObject } from './given-value.ts'
import { findForeignReference, judgeVariable } from './variable.ts'

const adding = /^(?:[a-z]+\.)?(?:create|add)$/
const changing = /^(?:resource\.|service\.)?(?:update|set|upsert)$/
const removing = /(?:^|[.\b_-])(?:delete|remove|destroy|drop|wipe|purge|detach|unset|clear|reset|replace)/i

/** What applying a change set would do: a list of changes, each of a kind, or a patch by another name. */
export async function judgeChangeSet(input: Json | undefined, ask: Describers): Promise<Finding> {
  if (!isObject(input)) return unknown('gives a change set of another shape')
  const findings: Finding[] = []
  for (const [key, value] of Object.entries(input)) {
    if (key === 'version' || key === 'diagnostics') continue
    if (key === 'changes' || key === 'operations') findings.push(judgeChanges(value))
    else findings.push(await judgePatch({ [key]: value }, ask))
  }
  return worst(writes('applies changes'), findings)
}

function judgeChanges(changes: Json): Finding {
  if (!isList(changes)) return unknown('gives changes that are no list')
  return worst(writes('applies changes'), changes.map(judgeChange))
}

function judgeChange(change: Json): Finding {
  // either names what is done; with `op`, `kind` is what it is done to
  const verb = fieldOf(change, 'op') ?? fieldOf(change, 'kind')
  if (typeof verb !== 'string' || verb.length > 100) return unknown('holds a change of no kind')
  if (removing.test(verb) || fieldOf(change, 'severity') === 'destructive') return destroys('holds a change that removes')
  if (verb === 'variable.set') return judgeSetting(change)
  if (changing.test(verb)) return judgeUpdate(change)
  if (!adding.test(verb)) return unknown('holds a change of a kind that is not known here')
  return findForeignReference(JSON.stringify(change)) ?? writes('creates something')
}

function judgeSetting(change: Json): Finding {
  const name = fieldOf(change, 'variable')
  const after = fieldOf(change, 'after')
  if (typeof name !== 'string' || after === undefined) return unknown('sets a variable that can not be read')
  // a reference may be written as an object of another shape than text
  return isObject(after) && typeof fieldOf(after, 'value') !== 'string'
    ? unknown('sets a variable to something that is no text')
    : judgeVariable(name, after)
}

/** Keys that say which commands will run; a patch is the way to set those. */
const commandKey = /command|"args"|entrypoint/i

/** An update of a service is read as far as it only sets: whatever is taken away by it, or stores data, is not. */
function judgeUpdate(change: Json): Finding {
  const kind = fieldOf(change, 'kind')
  const address = fieldOf(change, 'address')
  const isService = kind === 'service' || (typeof address === 'string' && address.startsWith('service.'))
  const text = JSON.stringify(change)
  const isPlain = !/null|isDeleted|"before"/.test(text) && !commandKey.test(text)
  if (!isService || !isPlain) return unknown('holds an update that can not be read')
  return findForeignReference(text) ?? writes('updates a service')
}
