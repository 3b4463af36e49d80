import { openStateFolder } from '../../packages/gateway/src/access/state-folder.ts'
import { diskFileSystem, type FileSystem, type LogFile } from '../../packages/gateway/src/log/file-system.ts'
import { settleLogKey } from '../../packages/gateway/src/main/key-rotation.ts'
import { openVault } from '../../packages/gateway/src/vault/vault-client.ts'
import { readRotations } from '../../packages/gateway/src/log/rotations.ts'
import { join } from 'node:path'

/**
 * The beginning of a gate's start, as far as it replaces the key of the log, that dies of SIGKILL before its how-manieth change of the disk.
 * Arguments: state directory, socket and token file of the vault, the change. Says `settled` when it gets through.
 */
const [directory = '', socketPath = '', tokenFile = '', dieAt = '0'] = process.argv.slice(2)
let changes = 0

function change(): void {
  changes += 1
  if (changes === Number(dieAt)) process.kill(process.pid, 'SIGKILL')
}

function dying(file: LogFile): LogFile {
  return {
    ...file,
    write: async (bytes, position) => (change(), await file.write(bytes, position)),
    writeDurably: async (bytes, position) => (change(), await file.writeDurably(bytes, position)),
    datasync: async () => (change(), await file.datasync()),
    truncate: async (size) => (change(), await file.truncate(size)),
    reserve: async (start, end) => (change(), await file.reserve(start, end)),
    read: (bytes, position) => file.read(bytes, position),
    size: () => file.size(),
    close: () => file.close(),
  }
}

const system: FileSystem = {
  ...diskFileSystem,
  open: async (path, how) => {
    if (how === 'create' || how === 'scratch') change()
    const file = await diskFileSystem.open(path, how)
    return file === null || how === 'read' ? file : dying(file)
  },
  rename: async (from, to) => (change(), await diskFileSystem.rename(from, to)),
}

const vault = await openVault({ socketPath, tokenFile })
const folder = openStateFolder(directory)
await settleLogKey({
  folder,
  system,
  openWitness: async ({ key }) => vault.witness(key, await readRotations(system, join(directory, 'log'))),
  report: change,
})
vault.close()
process.stdout.write(`settled ${changes}\n`)
