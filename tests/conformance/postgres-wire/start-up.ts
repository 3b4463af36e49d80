import { connect } from 'node:net'
import { gssCode, int32, sslCode } from '../../../packages/gateway/src/protocols/postgres/wire.ts'
import { statement, sync } from './scenario.ts'
import { openAt, type Parameters, type Place } from './pair.ts'

/** Start-up parameters that clients send, one connection each. */
export const startUps: readonly (readonly [name: string, parameters: Parameters])[] = [
  ['nothing but user and database', []],
  ['a name', [['application_name', 'a client']]],
  ['a name that is not ASCII', [['application_name', 'é']]],
  ['the encoding', [['client_encoding', 'UTF8']]],
  ['the encoding, quoted', [['client_encoding', "'utf-8'"]]],
  [
    'what JDBC sends',
    [
      ['client_encoding', 'UTF8'],
      ['DateStyle', 'ISO'],
      ['TimeZone', 'Europe/Berlin'],
      ['extra_float_digits', '2'],
    ],
  ],
  [
    'what libpq sends',
    [
      ['application_name', 'psql'],
      ['client_encoding', 'UTF8'],
      ['datestyle', 'german'],
    ],
  ],
  ['options', [['options', '-c datestyle=sql,dmy --intervalstyle=iso_8601 -cstatement_timeout=1000']]],
  ['options with a blank', [['options', '-c application_name=two\\ words']]],
  ['no replication', [['replication', 'false']]],
]

/** What the server tells a client that has started so: ParameterStatus and ReadyForQuery as they come, and the settings that came of it. */
export async function startSo(place: Place, parameters: Parameters): Promise<readonly string[]> {
  const client = await openAt(place, parameters)
  try {
    const told = client.startMessages.map(({ type, bytes }) => (type === 'K' ? `K of ${bytes.length}` : bytes.toString('latin1')))
    client.send(statement('select name, setting from pg_settings where source = $$client$$ order by name'), sync)
    // The upstream is always told the encoding, which the client may have left to the server.
    return [...told, ...(await client.answers()).filter((line) => line !== 'D client_encoding,UTF8')]
  } finally {
    client.close()
  }
}

/** The one byte that answers a request for encryption where none is offered. */
export async function askForEncryption({ port }: Place, kind: 'tls' | 'gss'): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(Buffer.concat([int32(8), int32(kind === 'tls' ? sslCode : gssCode)]))
  const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  socket.destroy()
  return answer.toString('latin1')
}
