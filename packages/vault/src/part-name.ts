import { VaultFailure } from './failure.ts'

const nameBytesMax = 1024
/** What file systems allow for one name, so that every part can be restored as a file. */
const segmentBytesMax = 255
const segmentsMax = 8

/**
 * A part's name is a relative path such as `tables/public.orders/data`. It is never used as a path inside the vault, but becomes one when a
 * snapshot is restored as files, so what could leave the folder or fool a terminal is refused at the door.
 * Names are compared byte by byte: `Orders` and `orders` are two parts, as they are two tables.
 * @throws VaultFailure `bad_request`
 */
export function checkPartName(name: string): string {
  const problem = findProblem(name)
  if (problem !== null) throw new VaultFailure('bad_request', `The name of a part ${problem}.`)
  return name
}

function findProblem(name: string): string | null {
  if (name === '') return 'is empty'
  if (!name.isWellFormed()) return 'is not well-formed Unicode'
  if (Buffer.byteLength(name) > nameBytesMax) return `is longer than ${nameBytesMax} bytes`
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/u.test(name)) return 'has a control or formatting character, or a backslash: encode it'
  const segments = name.split('/')
  if (segments.length > segmentsMax) return `has more than ${segmentsMax} segments`
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
    return 'has an empty segment, `.` or `..`'
  if (segments.some((segment) => Buffer.byteLength(segment) > segmentBytesMax))
    return `has a segment longer than ${segmentBytesMax} bytes`
  return null
}
