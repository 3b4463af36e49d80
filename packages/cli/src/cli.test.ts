import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { runCommandLine } from '../../../tests/fakes/command-line.ts'
import { commandTable, makeProgram } from './cli.ts'

const folder = tmpdir()
const run = (...words: string[]) => runCommandLine(words, { folder })

describe('help', () => {
  test('names every command in its group and the exit codes, and loads none of them', async () => {
    const { code, output } = await run('--help')
    expect(code).toBe(0)
    for (const { name } of commandTable) expect(output).toMatch(new RegExp(`^  ${name} `, 'm'))
    expect(output).toContain('Exit codes:')
    expect((await run()).code).toBe(0)
    expect((await makeProgram([])).commands.map((command) => command.name())).toEqual(commandTable.map(({ name }) => name))
  })

  test('of a command, by flag and by word', async () => {
    for (const words of [
      ['up', '--help'],
      ['help', 'up'],
      ['handle', 'issue', '--help'],
    ]) {
      const { code, output } = await run(...words)
      expect(code).toBe(0)
      expect(output).toContain('--state')
      expect(output).toContain('Exit codes:')
    }
  })

  test('--version is one word', async () => {
    expect((await run('--version')).output).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('a wrong command line', () => {
  test.each([
    ['an unknown command, with the likely one', ['handel'], 'handle'],
    ['an unknown option, with the likely one', ['up', '--stat', 'x'], '--state'],
    ['a missing argument', ['undo'], 'snapshot'],
    ['a missing subcommand', ['handle'], 'subcommand'],
    ['a wrong duration', ['handle', 'issue', 'coder', '--ttl', 'soon'], '15m'],
    ['a choice that is none', ['init', '--environment', 'prod'], 'production'],
  ])('%s: exit code 2, what, not done, next', async (_, words, named) => {
    const { code, output, errors } = await run(...words)
    expect(code).toBe(2)
    expect(output).toBe('')
    expect(errors).toMatch(/^error: /)
    expect(errors).toContain('not done:')
    expect(errors).toContain('next:')
    expect(errors).toContain(named)
  })

  test('with --json the error is one JSON line', async () => {
    const { code, errors } = await run('handle', 'issue', 'coder', '--json', '--state', '/nonexistent')
    expect(code).toBe(3)
    expect(JSON.parse(errors)).toMatchObject({ error: { code: 'gate_unreachable', exitCode: 3 } })
    expect(errors.trim().split('\n').length).toBe(1)
  })
})
