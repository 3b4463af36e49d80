import { createDecipheriv, createHash, createHmac, createPublicKey, hkdfSync, verify } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { Decrypter } from 'age-encryption'
import { z } from 'zod'

const chunkShape = z.object({ address: z.string(), bytes: z.number(), stored: z.number(), bases: z.array(z.string()).optional() })
const outsideShape = z.object({
  v: z.literal(2),
  vault: z.string(),
  sequence: z.number(),
  previous: z.string().nullable(),
  parts: z.array(z.object({ bytes: z.number(), chunks: z.array(chunkShape) })),
  inside: z.string(),
  recovery: z.string(),
})
const insideShape = z.object({
  v: z.literal(2),
  kind: z.string(),
  rows: z.number(),
  parts: z.array(z.object({ name: z.string(), sha256: z.string(), marks: z.string() })),
})

/** What another program makes of a vault's folder, or of a copy of its bucket. */
export interface ReadSnapshot {
  readonly sequence: number
  readonly rows: number
  readonly parts: ReadonlyMap<string, Buffer>
  /** Boxes that were told by others. */
  readonly told: number
}

/**
 * A reader written from docs/formats-vault.md alone: it shares no code with the vault. With the recovery identity it reads every snapshot in a
 * folder, and throws at the first thing that is not as the document says.
 */
export async function readVault(folder: string, identity: string): Promise<readonly ReadSnapshot[]> {
  const snapshots: ReadSnapshot[] = []
  let previous: string | null = null
  for (const file of readdirSync(join(folder, 'manifests')).toSorted()) {
    const bytes = readFileSync(join(folder, 'manifests', file))
    const [number, id] = file.split('-')
    if (hash(bytes) !== id) throw new Error('a manifest does not have the hash that its name ends with')
    const outside = outsideShape.parse(JSON.parse(checkSignature(bytes)))
    if (outside.sequence !== Number(number) || outside.previous !== previous) throw new Error('the chain is broken')
    previous = id
    snapshots.push(await readSnapshot(folder, outside, await unwrap(outside, identity)))
  }
  return snapshots
}

/** The first line, once the Ed25519 signature in the second is proven by the vault that the first names. */
function checkSignature(bytes: Buffer): string {
  const [line = '', signature = ''] = bytes.toString('utf8').split('\n')
  const { vault } = outsideShape.parse(JSON.parse(line))
  const x = Buffer.from(vault, 'hex').toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  const signed = Buffer.from(`sallyport vault manifest v1\n${line}`)
  if (!verify(null, signed, key, Buffer.from(signature, 'base64'))) throw new Error('a manifest is not signed')
  return line
}

async function unwrap(outside: z.infer<typeof outsideShape>, identity: string): Promise<Buffer> {
  const age = new Decrypter()
  age.addIdentity(identity)
  const plain = await age.decrypt(Buffer.from(outside.recovery, 'base64'), 'text')
  const { vault, content } = z.object({ vault: z.string(), content: z.string() }).parse(JSON.parse(plain))
  if (vault !== outside.vault) throw new Error('the recovery part is of another vault')
  return Buffer.from(content, 'base64')
}

async function readSnapshot(folder: string, outside: z.infer<typeof outsideShape>, key: Buffer): Promise<ReadSnapshot> {
  const inside = insideShape.parse(
    JSON.parse(openBox(key, 'SPVINSD1', 'inside', Buffer.from(outside.inside, 'base64'), () => [])[0].toString()),
  )
  let told = 0
  const readChunk = (address: string): Buffer => {
    const box = readFileSync(join(folder, 'chunks', address.slice(0, 2), address))
    if (hash(box) !== address) throw new Error('a chunk does not have its address')
    const [plain, codec] = openBox(key, 'SPVCHNK1', 'chunk', box, (bases) => bases.map(readChunk))
    told += codec === 2 ? 1 : 0
    return plain
  }
  const parts = outside.parts.map(({ chunks }, index): readonly [string, Buffer] => {
    const plain = Buffer.concat(chunks.map(({ address }) => readChunk(address)))
    const named = inside.parts[index]
    if (!named || hash(plain) !== named.sha256) throw new Error('a part is not as its manifest says')
    if (Buffer.from(named.marks, 'base64').length !== 32 * chunks.length) throw new Error('there is not one mark for each chunk')
    return [named.name, plain]
  })
  return { sequence: outside.sequence, rows: inside.rows, parts: new Map(parts), told }
}

function openBox(
  contentKey: Buffer,
  magic: string,
  kind: string,
  box: Buffer,
  readBases: (addresses: readonly string[]) => readonly Buffer[],
): readonly [Buffer, number] {
  if (box.subarray(0, 8).toString('latin1') !== magic) throw new Error('a box begins otherwise')
  const codec = box[8] ?? 255
  const salt = box.subarray(9, 41)
  const derive = (label: string): Buffer =>
    Buffer.from(hkdfSync('sha256', contentKey, '', `sallyport vault ${kind} ${label} v1`, 32))
  const key = createHmac('sha256', derive('encryption')).update(salt).digest()
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.alloc(12))
    .setAAD(box.subarray(0, 41))
    .setAuthTag(box.subarray(-16))
  const body = Buffer.concat([decipher.update(box.subarray(41, -16)), decipher.final()])
  const again = createHmac('sha256', derive('salt')).update(Buffer.of(codec)).update(body).digest()
  if (!again.equals(salt)) throw new Error('a salt is not that of its body')
  if (codec === 0) return [body, codec]
  if (codec === 1) return [zstdDecompressSync(body), codec]
  const count = body[0] ?? 0
  const addresses = Array.from({ length: count }, (_, index) => body.subarray(1 + 32 * index, 33 + 32 * index).toString('hex'))
  return [zstdDecompressSync(body.subarray(1 + 32 * count), { dictionary: Buffer.concat(readBases(addresses)) }), codec]
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
