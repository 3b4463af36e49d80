import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, it } from 'vitest'
import type { DrillCheck, Json, Producer, SnapshotContent } from '@sallyport/core'
import { MemorySeal } from '../fakes/memory-seal.ts'

/** A thing to keep, and how to do things to it around its producer. */
export interface KeptTrial {
  readonly producer: Producer
  /** Changes something in it that a copy made afterwards must hold. */
  readonly change: () => Promise<void>
  /** Takes it away altogether. */
  readonly destroy: () => Promise<void>
  /** A thing that can be taken out of a copy by name, and one that can't. */
  readonly thing: string
  /** Null: it answers no questions. */
  readonly questions: {
    readonly right: DrillCheck
    readonly wrong: DrillCheck
    readonly broken: DrillCheck
  } | null
}

/** Whatever it keeps: it says that nothing counts. */
const refused =
  /could not be|cannot be|can be made|taken out|No .* was|is no |stopping|there is no|does not exist|is not in the vault/

const options = {
  report: () => undefined,
  signal: new AbortController().signal,
}
const scratches = (): readonly string[] => readdirSync(tmpdir()).filter((name) => /^sallyport-(scratch|dump)-/.test(name))

async function makeCopy(producer: Producer): Promise<{ readonly seal: MemorySeal; readonly content: SnapshotContent }> {
  const seal = new MemorySeal()
  return { seal, content: await producer.copy(seal, options) }
}

/** What every producer must do, whatever it keeps. `open` makes a thing of its own each time. */
export function describeProducer(name: string, open: () => Promise<KeptTrial>, shelf: () => string): void {
  describe(`producer: ${name}`, () => {
    proveProducer(open, shelf)
  })
}

function proveProducer(open: () => Promise<KeptTrial>, shelf: () => string): void {
  it('makes a copy that proves to be the thing as it was, and leaves nothing behind', async () => {
    const trial = await open()
    const { producer, questions } = trial
    const before = scratches()
    const { seal, content } = await makeCopy(producer)
    expect(content.kind).toBe(producer.kind)
    expect(Object.keys(content.checksums).length).toBeGreaterThan(0)
    const checks = questions === null ? [] : [questions.right]
    const proof = await producer.prove(seal.reader(content), {
      ...options,
      checks,
    })
    expect(proof.rows).toBe(content.rows)
    expect(proof.answers.map(({ passed }) => passed)).toEqual(checks.map(() => true))
    await trial.change()
    const second = await makeCopy(producer)
    expect(second.content.checksums).not.toEqual(content.checksums)
    // The first is of another moment, and still whole.
    await producer.prove(seal.reader(content), { ...options, checks: [] })
    expect(scratches().filter((name) => !before.includes(name))).toEqual([])
  })

  it('proves a copy of what is gone', async () => {
    const trial = await open()
    const { producer } = trial
    const { seal, content } = await makeCopy(producer)
    await trial.destroy()
    await expect(producer.identity()).rejects.toThrow(refused)
    await expect(producer.prove(seal.reader(content), { ...options, checks: [] })).resolves.toMatchObject({ rows: content.rows })
    await expect(producer.copy(new MemorySeal(), options)).rejects.toThrow(refused)
  })

  it('fails when any part differs by one bit, is cut short or missing, or holds another copy’s bytes', async () => {
    const trial = await open()
    const { producer } = trial
    const { seal, content } = await makeCopy(producer)
    await trial.change()
    const other = await makeCopy(producer)
    const parts = new Map(seal.parts)
    for (const [name, bytes] of parts) {
      if (bytes.length === 0) continue
      const flipped = Buffer.from(bytes)
      const at = Math.floor(bytes.length / 2)
      flipped[at] = (flipped[at] ?? 0) ^ 1
      const replaced = [flipped, bytes.subarray(0, -1), other.seal.parts.get(name) ?? Buffer.alloc(0)]
      for (const instead of replaced.filter((one) => !one.equals(bytes))) {
        seal.parts.set(name, instead)
        await expect(producer.prove(seal.reader(content), { ...options, checks: [] })).rejects.toThrow(refused)
      }
      seal.parts.delete(name)
      await expect(producer.prove(seal.reader(content), { ...options, checks: [] })).rejects.toThrow(refused)
      seal.parts.set(name, bytes)
    }
    await expect(producer.prove(seal.reader(content), { ...options, checks: [] })).resolves.toBeDefined()
  })

  it('does not count what cannot be read back as it was put', async () => {
    const { producer } = await open()
    const rotting = new MemorySeal()
    const put = rotting.put.bind(rotting)
    rotting.put = async (part) => {
      const sum = await put(part)
      const bytes = rotting.parts.get(part.name)
      if (bytes !== undefined && bytes.length > 0) rotting.parts.set(part.name, bytes.subarray(0, -1))
      return sum
    }
    await expect(producer.copy(rotting, options)).rejects.toThrow(refused)
  })

  it('refuses a manifest that is not its own, or that says two things', async () => {
    const { producer } = await open()
    const { seal, content } = await makeCopy(producer)
    const reader = seal.reader(content)
    const manifests: readonly Json[] = [null, {}, [], { v: 1 }, { v: 2, format: 'other' }]
    for (const manifest of manifests)
      await expect(producer.prove({ ...reader, manifest }, { ...options, checks: [] })).rejects.toThrow(refused)
    const checksums = Object.fromEntries(Object.keys(content.checksums).map((name) => [name, '0'.repeat(64)]))
    await expect(producer.prove({ ...reader, checksums }, { ...options, checks: [] })).rejects.toThrow(refused)
  })

  it('says of each question what was answered, and passes none that failed', async () => {
    const { producer, questions } = await open()
    const { seal, content } = await makeCopy(producer)
    if (questions === null) {
      const checks = [{ ask: 'anything', is: '1' }]
      await expect(producer.prove(seal.reader(content), { ...options, checks })).rejects.toThrow(refused)
      return
    }
    const checks = [questions.right, questions.wrong, questions.broken, questions.right]
    const { answers } = await producer.prove(seal.reader(content), {
      ...options,
      checks,
    })
    expect(answers.map(({ passed }) => passed)).toEqual([true, false, false, true])
  })

  it('takes one thing out of a copy, and nothing that is not in it', async () => {
    const { producer, thing } = await open()
    const { seal, content } = await makeCopy(producer)
    if (producer.extract === undefined) return
    const taken = await producer.extract(seal.reader(content), thing, shelf(), options.signal)
    expect(existsSync(taken.file)).toBe(true)
    expect(taken.file.startsWith(shelf())).toBe(true)
    for (const name of ['nothing of this name', '../../etc/passwd', '', `${thing}x`])
      await expect(producer.extract(seal.reader(content), name, shelf(), options.signal)).rejects.toThrow(refused)
  })

  it('stops when it is told to', async () => {
    const { producer } = await open()
    const before = scratches()
    const stopped = AbortSignal.abort(new Error('the gate is stopping'))
    await expect(producer.copy(new MemorySeal(), { ...options, signal: stopped })).rejects.toThrow(refused)
    expect(scratches().filter((name) => !before.includes(name))).toEqual([])
  })
}
