import { expect, test } from 'vitest'
import { acceptedPlaceOf, findPlaceWidenings, vaultPlaceSchema } from './vault-place.ts'

const recipient = `age1${'q'.repeat(58)}`

test('reads where copies lie, and refuses what is not written so', () => {
  const good = {
    buckets: ['s3://my-copies/prod?region=eu-central-1'],
    credential: 'file:secrets/bucket',
    recovery: [recipient],
    quota: '2TiB',
  }
  expect(vaultPlaceSchema.parse(good)).toMatchObject({ folder: false, quota: '2TiB' })
  const bad = [
    { buckets: ['my-copies'] },
    { buckets: ['s3://key:secret@my-copies'] },
    { credential: 'AKIA:secret' },
    { credential: 'env:BUCKET' },
    { recovery: ['AGE-SECRET-KEY-1QQ'] },
    { quota: '12' },
    { bucket: 's3://one' },
  ]
  for (const one of bad) expect(vaultPlaceSchema.safeParse(one).success, JSON.stringify(one)).toBe(false)
})

test('a place taken away and a recipient who comes or goes are for a person to accept; another place is not', () => {
  const place = (value: object): ReturnType<typeof acceptedPlaceOf> => acceptedPlaceOf(vaultPlaceSchema.parse(value))
  const one = place({ buckets: ['s3://one-bucket'], folder: true, recovery: [recipient] })
  const two = place({ buckets: ['s3://one-bucket', 's3://two-bucket'], folder: true, recovery: [recipient] })
  expect(findPlaceWidenings(one, two)).toEqual([])
  expect(findPlaceWidenings(two, one)).toEqual(['vault: copies no longer go to s3://two-bucket'])
  expect(findPlaceWidenings(one, place({}))).toEqual([
    'vault: copies no longer go to s3://one-bucket',
    `vault: ${recipient} no longer recovers copies`,
  ])
  expect(findPlaceWidenings(place({}), place({ recovery: [recipient] }))).toEqual([`vault: ${recipient} can read every copy`])
})
