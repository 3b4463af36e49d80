import { isCosigned, isSignedByLog, noteSigner, openCheckpoint, signatureTypes } from '@sallyport/core'
import { afterEach, describe, expect, it } from 'vitest'
import { FailingDisk } from '../../../../tests/fakes/failing-disk.ts'
import { MemoryWitness } from '../../../../tests/fakes/memory-witness.ts'
import { event, refusal, signer, OpenedLogs } from '../../../../tests/fakes/opened-logs.ts'

const cosigner = noteSigner('vault.example/witness', Buffer.alloc(32, 8), signatureTypes.cosignature)
const logs = new OpenedLogs()
const open: OpenedLogs['open'] = (disk, settings) => logs.open(disk, settings)
afterEach(() => logs.close())

describe('the witness', () => {
  it('cosigns with a consistency proof from what it holds, over many checkpoints', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(disk, { witness })
    let place = 0
    for (const more of [1, 2, 254, 1, 3, 600, 70]) {
      await Promise.all(Array.from({ length: more }, () => log.append(event((place += 1)))))
      await log.publish()
      expect(witness.held?.checkpoint.size).toBe(log.size())
    }
    const { verdict, checkpoint } = openCheckpoint(log.witnessed() ?? '', [signer.key, cosigner.key])
    expect(isSignedByLog(verdict) && isCosigned(verdict)).toBe(true)
    expect(checkpoint.size).toBe(place)
    await log.close()
    const again = await open(disk, { witness })
    await again.append(event(0))
    await again.publish()
    expect(witness.held?.checkpoint.size).toBe(place + 1)
  })

  it('is asked on closing, and again from where it stands when an answer was lost', async () => {
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(new FailingDisk(), { witness, checkpointEveryMs: 100_000 })
    await log.append(event(0))
    witness.loseAnswer = true
    await log.publish()
    expect(log.health().problem).toMatch(/connection reset/)
    witness.loseAnswer = false
    await log.append(event(1))
    await log.close()
    expect(witness.held?.checkpoint.size).toBe(2)
    expect(log.health().witnessedSize).toBe(2)
  })

  it('that is out of reach stops no append, but no log is opened without it', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(disk, { witness })
    witness.unreachable = true
    expect(await log.append(event(0))).toBe(0)
    await log.publish()
    expect(log.health().problem).toMatch(/connection refused/)
    await log.close()
    expect((await refusal(open(disk, { witness }))).code).toBe('vault_unavailable')
  })

  it('freezes an old image of the log, at the start', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(disk, { witness })
    await log.append(event(0))
    await log.publish()
    const image = disk.copy()
    await log.append(event(1))
    await log.close()
    const frozen = await refusal(open(image, { witness }))
    expect(frozen.code).toBe('log_unavailable')
    expect(frozen.message).toMatch(/end is missing/)
  })

  it('freezes a log that grew again from an old image to the same size', async () => {
    const disk = new FailingDisk()
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(disk, { witness })
    await log.append(event(0))
    await log.publish()
    const image = disk.copy()
    await log.append(event(1))
    await log.close()
    const behindItsBack = await open(image)
    await behindItsBack.append(event(2))
    await behindItsBack.append(event(3))
    await behindItsBack.close()
    expect((await refusal(open(image, { witness }))).message).toMatch(/was changed/)
  })

  it('freezes a running log when it has seen another history', async () => {
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(new FailingDisk(), { witness })
    await log.append(event(0))
    await log.publish()
    const other = await open(new FailingDisk())
    await other.append(event(9))
    await other.append(event(9))
    await other.publish()
    const checkpoint = openCheckpoint(other.checkpoint() ?? '', [signer.key]).checkpoint
    witness.held = { checkpoint, text: other.checkpoint() ?? '' }
    await log.append(event(1))
    await log.append(event(2))
    await log.publish()
    expect(log.health().state).toBe('failed')
    expect((await refusal(log.append(event(3)))).message).toMatch(/another history/)
  })

  it('that answers with anything but its cosignature is not believed', async () => {
    const witness = new MemoryWitness(cosigner, signer.key)
    const log = await open(new FailingDisk(), { witness })
    witness.cosign = async ({ checkpoint }) => checkpoint
    await log.append(event(0))
    await log.publish()
    expect(log.witnessed()).not.toContain('\n1\n')
    expect(log.health().problem).toMatch(/no cosignature/)
  })
})
