import type { Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { SallyportError } from '@sallyport/core'
import { bindToEndPoint } from './channel-binding.ts'

/** How the gate ends its clients' TLS. */
export interface ClientTls {
  /** Key and certificate, PEM; asked for each handshake, so that a renewed one is used at once. */
  certificate(): Promise<{ readonly key: string; readonly certificate: string }>
}

/** What a client that speaks TLS from the first byte must ask for, so that no other protocol's bytes pass for ours (libpq 17). */
const applicationProtocol = 'postgresql'

export interface Secured {
  readonly socket: TLSSocket
  /** What both ends of SCRAM can bind to; null where the certificate gives nothing to bind to. */
  readonly binding: Buffer | null
}

/**
 * Ends TLS on a connection that is paused and has no listeners of ours. `isDirect`: it began with a handshake, without asking first.
 * @throws SallyportError `protocol_violation` when the handshake fails
 */
export async function secureClient(socket: Socket, tls: ClientTls, isDirect: boolean): Promise<Secured> {
  const { key, certificate } = await tls.certificate()
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext: createSecureContext({ key, cert: certificate, minVersion: 'TLSv1.2' }),
    ALPNProtocols: [applicationProtocol],
  })
  secure.on('error', () => undefined)
  // Only our own listeners are taken off again: Node's free the memory of the handshake when the connection ends.
  await new Promise<void>((resolve, reject) => {
    const broken = (): void => reject(failed('the TLS handshake failed'))
    const closed = (): void => reject(failed('the connection ended in the TLS handshake'))
    secure.once('error', broken)
    secure.once('close', closed)
    secure.once('secure', () => {
      secure.off('error', broken)
      secure.off('close', closed)
      resolve()
    })
  })
  if (isDirect && secure.alpnProtocol !== applicationProtocol) {
    secure.destroy()
    throw failed(`it spoke TLS without asking first, and not for ${applicationProtocol}`)
  }
  return { socket: secure, binding: bindToEndPoint(certificate) }
}

function failed(why: string): SallyportError {
  return new SallyportError(
    'protocol_violation',
    `No TLS: ${why}.`,
    'No session was opened.',
    'Connect again with TLS 1.2 or later.',
  )
}
