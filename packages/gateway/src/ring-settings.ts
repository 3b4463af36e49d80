import { foldPerson, isSamePerson, type Rotation } from '@sallyport/core'
import { z } from 'zod'
import type { ConfigMistake, FindPlace } from './config-mistake.ts'
import { duration, timeOfDay, timeZone } from './config-value.ts'
import { checkOnCall, findRotation, type OnCallConfig } from './on-call-settings.ts'
import type { DeliverConfig } from './deliver-config.ts'

/** Who is rung when, as sallyport.yaml says it: one after the other while nobody answers, and not at night. */

const names = z.preprocess(
  (given) => (typeof given === 'string' ? [given] : given),
  z.array(z.string().min(1).max(100), { error: 'names of receivers, people or groups' }).min(1).max(50),
)

export const escalateSchema = z
  .array(z.strictObject({ ring: names, after: duration.prefault('0s') }), {
    error: 'escalate is a list such as [{ ring: on-call }, { ring: everybody, after: 10m }]',
  })
  .max(20)
  .default([])

const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

export const quietHoursSchema = z
  .array(
    z
      .strictObject({
        from: timeOfDay,
        until: timeOfDay,
        zone: timeZone,
        days: z
          .array(z.enum(weekdays, { error: 'days are mon, tue, wed, thu, fri, sat and sun' }))
          .min(1)
          .default([...weekdays]),
        for: names.exactOptional(),
      })
      .refine(({ from, until }) => from !== until, 'quiet hours that begin and end at the same time would never end'),
    { error: 'quietHours is a list such as [{ from: "22:00", until: "07:00", zone: Europe/Zurich }]' },
  )
  .max(50)
  .default([])

export interface RingConfig {
  readonly deliver: { readonly [name: string]: DeliverConfig }
  readonly groups: { readonly [group: string]: { readonly people: readonly string[] } }
  readonly onCall: OnCallConfig
  readonly escalate: z.infer<typeof escalateSchema>
  readonly quietHours: z.infer<typeof quietHoursSchema>
  readonly requestMs: number
}

/** Who is rung, and when, by the names of receivers. */
export interface RingPlan {
  readonly steps: readonly {
    readonly afterMs: number
    readonly receivers: readonly string[]
    readonly onCall?: readonly OnCallRing[]
  }[]
  readonly quiet: readonly QuietHours[]
}

/** Of a rotation only who is on call when it rings. */
export interface OnCallRing {
  readonly rotation: Rotation
  readonly receiversOf: ReadonlyMap<string, readonly string[]>
}

export interface QuietHours {
  /** Minutes of the day, in the zone. */
  readonly from: number
  readonly until: number
  readonly zone: string
  /** Days on which they begin; 0 is Monday. */
  readonly days: readonly number[]
  readonly receivers: readonly string[]
}

/** Those that tell people of questions. Machines hear everything at once, and wake nobody. */
function findBells(deliver: RingConfig['deliver']): readonly string[] {
  return Object.entries(deliver).flatMap(([bell, one]) => {
    const tellsPeople = 'ntfy' in one || 'slack' in one || 'mail' in one
    return tellsPeople && (!Array.isArray(one.events) || one.events.includes('request.opened')) ? [bell] : []
  })
}

/** The receivers that a name stands for: one of that name, or those of the people of that group, or of that person. */
function findReceivers({ deliver, groups }: RingConfig, wanted: string): readonly string[] {
  if (Object.hasOwn(deliver, wanted)) return findBells(deliver).filter((bell) => bell === wanted)
  const people = Object.hasOwn(groups, wanted) ? (groups[wanted]?.people ?? []) : [wanted]
  return findBells(deliver).filter((bell) => {
    const owner = deliver[bell]?.of
    return owner !== undefined && people.some((person) => isSamePerson(person, owner))
  })
}

/** Null: nothing is said of it, so everybody is told at once. */
export function ringPlanOf(config: RingConfig): RingPlan | null {
  const { deliver, escalate, quietHours } = config
  if (escalate.length === 0 && quietHours.length === 0) return null
  const bells = findBells(deliver)
  const find = (wanted: readonly string[]): readonly string[] => [...new Set(wanted.flatMap((one) => findReceivers(config, one)))]
  const rings = escalate.map(({ ring, after }) => {
    const rotations = ring.flatMap((one) => findRotation(config.onCall, one) ?? [])
    const receivers = find(ring.filter((one) => findRotation(config.onCall, one) === null))
    const onCall = rotations.map((rotation) => onCallRingOf(config, rotation))
    return { afterMs: after, receivers, ...(onCall.length > 0 && { onCall }) }
  })
  const named = new Set(rings.flatMap(({ receivers, onCall = [] }) => [...receivers, ...onCall.flatMap(allOf)]))
  const others = bells.filter((bell) => !named.has(bell))
  return {
    // Who stands in no ring is told at once, as ever.
    steps: [...(others.length === 0 ? [] : [{ afterMs: 0, receivers: others }]), ...rings],
    quiet: quietHours.map((hours) => ({
      from: hours.from,
      until: hours.until,
      zone: hours.zone,
      days: hours.days.map((day) => weekdays.indexOf(day)),
      receivers: hours.for === undefined ? bells : find(hours.for),
    })),
  }
}

function onCallRingOf(config: RingConfig, rotation: Rotation): OnCallRing {
  const everybody = new Set([...rotation.people, ...rotation.instead.map(({ person }) => person)])
  return { rotation, receiversOf: new Map([...everybody].map((person) => [person, findReceivers(config, person)])) }
}

function allOf({ receiversOf }: OnCallRing): readonly string[] {
  return [...receiversOf.values()].flat()
}

/** A ring that reaches nobody would be found out on the night when it is needed. */
export function checkRings(config: RingConfig, place: FindPlace): readonly ConfigMistake[] {
  const { escalate, quietHours, requestMs } = config
  const hint = `receivers that tell people are: ${findBells(config.deliver).join(', ') || 'none yet'}; a person's own say "of: NAME"`
  const unheard = (wanted: readonly string[], at: readonly PropertyKey[]): readonly ConfigMistake[] =>
    wanted.flatMap((one) =>
      findReceivers(config, one).length > 0
        ? []
        : [{ ...place(at), what: `"${one}" is reached by no ntfy, slack or mail that tells of questions`, hint }],
    )
  const rung = new Set<string>()
  return [
    ...checkOnCall(config, (person, at) => unheard([person], at), place),
    ...quietHours.flatMap((hours, index) => unheard(hours.for ?? [], ['quietHours', index, 'for'])),
    ...escalate.flatMap(({ ring, after }, index) => {
      const at = ['escalate', index]
      const before = escalate[index - 1]?.after ?? -1
      const twice = [...new Set(ring.flatMap((one) => findReceivers(config, one)))].filter((one) => rung.has(foldPerson(one)))
      for (const one of ring.flatMap((name) => findReceivers(config, name))) rung.add(foldPerson(one))
      return [
        ...unheard(
          ring.filter((one) => findRotation(config.onCall, one) === null),
          [...at, 'ring'],
        ),
        ...twice.map((one) => ({
          ...place([...at, 'ring']),
          what: `"${one}" is rung before already`,
          hint: 'leave it out here',
        })),
        ...(after > before
          ? []
          : [
              {
                ...place([...at, 'after']),
                what: 'each ring comes later than the one before',
                hint: 'say after: with a longer time',
              },
            ]),
        ...(after < requestMs
          ? []
          : [
              {
                ...place([...at, 'after']),
                what: 'this ring comes after the question has expired',
                hint: 'ring sooner, or let questions wait for longer with expiry:',
              },
            ]),
      ]
    }),
  ]
}
