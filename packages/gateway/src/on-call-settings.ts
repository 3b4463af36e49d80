import { findOnCall, type OnCall, type Rotation } from '@sallyport/core'
import { z } from 'zod'
import type { ConfigMistake, FindPlace } from './config-mistake.ts'
import { duration, name, timeOfDay, timeZone } from './config-value.ts'

/** Who is on call when, as sallyport.yaml says it: a ring names a rotation, and rings whoever has it then. */

const dayMs = 86_400_000
const daysMax = 366

const day = z
  .string({ error: 'a day is written like "2026-03-29", in quotes' })
  .regex(/^20\d\d-\d\d-\d\d$/, 'a day is written like "2026-03-29", in quotes')
  .refine((text) => new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) ?? false, 'there is no such day')
const person = z.string().min(1).max(100)

const rotationSchema = z.strictObject({
  people: z.array(person, { error: 'people is a list of names, in their order' }).min(1).max(50),
  from: day,
  at: timeOfDay,
  zone: timeZone,
  each: duration.refine(
    (ms) => ms >= dayMs && ms % dayMs === 0 && ms <= daysMax * dayMs,
    'a shift is whole days, such as 1d or 7d',
  ),
  instead: z
    .array(z.strictObject({ from: day, until: day, person }))
    .max(200)
    .default([]),
})

export const onCallSchema = z.record(name, rotationSchema, { error: 'onCall is a map of rotations' }).default({})
export type OnCallConfig = z.infer<typeof onCallSchema>

/** Null: there is no rotation of this name. */
export function findRotation(onCall: OnCallConfig, wanted: string): Rotation | null {
  const found = Object.hasOwn(onCall, wanted) ? onCall[wanted] : undefined
  if (found === undefined) return null
  const { people, from, at, zone, each, instead } = found
  return { people, from, handOverMinute: at, zone, shiftDays: each / dayMs, instead }
}

/** Who is on call now, a line a rotation. */
export function onCallLines(
  { onCall }: { readonly onCall: OnCallConfig },
  nowMs: number,
): readonly (OnCall & { readonly name: string; readonly zone: string })[] {
  return Object.keys(onCall).flatMap((rotation) => {
    const found = findRotation(onCall, rotation)
    return found === null ? [] : [{ name: rotation, zone: found.zone, ...findOnCall(found, nowMs) }]
  })
}

interface Named {
  readonly onCall: OnCallConfig
  readonly deliver: { readonly [name: string]: unknown }
  readonly groups: { readonly [group: string]: unknown }
}

/** @param unheard the mistake that nobody's telephone is this person's */
export function checkOnCall(
  { onCall, deliver, groups }: Named,
  unheard: (person: string, at: readonly PropertyKey[]) => readonly ConfigMistake[],
  place: FindPlace,
): readonly ConfigMistake[] {
  return Object.entries(onCall).flatMap(([rotation, { people, instead }]) => {
    const at = ['onCall', rotation]
    const isTaken = Object.hasOwn(deliver, rotation) || Object.hasOwn(groups, rotation)
    const taken = {
      ...place(at),
      what: `"${rotation}" is the name of a receiver or a group already`,
      hint: 'choose another name',
    }
    return [
      ...(isTaken ? [taken] : []),
      ...people.flatMap((one, index) => unheard(one, [...at, 'people', index])),
      ...instead.flatMap((one, index) => {
        const own = [...at, 'instead', index]
        const before = instead[index - 1]
        return [
          ...unheard(one.person, [...own, 'person']),
          ...(one.from < one.until
            ? []
            : [
                { ...place([...own, 'until']), what: 'it ends before it begins', hint: 'until is the day of the hand-over back' },
              ]),
          ...(before === undefined || before.until <= one.from
            ? []
            : [
                {
                  ...place([...own, 'from']),
                  what: 'it begins before the one above it ends',
                  hint: 'write them in their order, one after the other',
                },
              ]),
        ]
      }),
    ]
  })
}
