import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** On Linux a file system that lives in memory. A container may give it a few megabytes, or leave it out. */
const memoryFolder = '/dev/shm'
/** Of the file system and of memory itself: the servers of all files that run at once take a quarter of it. */
const freeBytesMin = 2 ** 31

/** Where what a test throws away is cheapest to copy: in memory where there is room for it, else where temporary files go. */
export function findMemoryFolder(folder = memoryFolder, freeMemoryBytes = process.availableMemory()): string {
  try {
    accessSync(folder, constants.W_OK)
    const { bavail, bsize } = statfsSync(folder)
    return Math.min(bavail * bsize, freeMemoryBytes) >= freeBytesMin ? folder : tmpdir()
  } catch {
    return tmpdir()
  }
}
