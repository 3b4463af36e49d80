import type { Asked, Attendance, Operation, ResolvedOperation } from '@sallyport/core'
import { makeBench, scriptConnector, type Bench } from '../fakes/ports.ts'

const destroy: Operation = {
  action: 'fake.destroy',
  resources: [{ type: 'table', name: 'orders', identity: '1', schemaHash: 'a' }],
  impact: { kind: 'destroy', reversible: false },
  why: 'a test',
  context: {},
}
const drop: ResolvedOperation = {
  ...destroy,
  impact: { kind: 'destroy', reversible: false, scope: { rows: 48_211, exact: true } },
  copy: { kind: 'tables', tables: ['orders'], bytesEstimate: 1 },
}

/** The pipeline before a connector that says: this drops a table of 48,211 rows. */
export function dropBench(): Bench {
  const connector = scriptConnector([destroy])
  connector.resolved = [drop]
  connector.snapshotRows = 48_211
  return makeBench(connector)
}

/** Another `number` is another request, with a digest of its own. */
export function askFor(bench: Bench, number = 0): Asked {
  const payload = { protocol: 'fake', upstream: 'orders-db', upstreamIdentity: 'system:1', bindValues: [], settings: {} }
  return {
    session: bench.session,
    upstream: bench.upstream,
    connector: 'fake',
    decoded: {},
    payload: { ...payload, bytesSha256: number.toString(16).padStart(64, '0') },
    text: 'DROP TABLE orders',
    key: null,
  }
}

/** A client that does not wait. */
export function attend(): Attendance {
  return { waitMs: 0, signal: new AbortController().signal, pending: () => undefined }
}

/** A character by its code point, so that the source shows what it is. */
export function unnamed(hexadecimal: string): string {
  return String.fromCodePoint(Number.parseInt(hexadecimal, 16))
}
