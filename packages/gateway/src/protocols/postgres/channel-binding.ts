import { createHash, X509Certificate } from 'node:crypto'

/** The one kind of binding that PostgreSQL's clients and servers know (RFC 5929 §4). */
export const bindingName = 'tls-server-end-point'

/**
 * `tls-server-end-point`: the hash of the server's certificate, by the hash of its signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929 §4.1).
 * Null where that hash is not defined, as for Ed25519 and RSA-PSS: then there is nothing to bind to.
 * @param certificate DER, or PEM whose first certificate is the server's own
 */
export function bindToEndPoint(certificate: Buffer | string): Buffer | null {
  const { raw, signatureAlgorithm = '' } = new X509Certificate(certificate)
  const [, bits] = /sha-?(1|224|256|384|512)(?!\d)/i.exec(signatureAlgorithm) ?? []
  if (/pss/i.test(signatureAlgorithm)) return null
  if (bits === undefined && !/md5/i.test(signatureAlgorithm)) return null
  const hash = bits === undefined || bits === '1' ? 'sha256' : `sha${bits}`
  return createHash(hash).update(raw).digest()
}
