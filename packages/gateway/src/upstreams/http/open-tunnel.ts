import { lookup } from 'node:dns/promises'
import { BlockList, connect, type Socket } from 'node:net'
import { SallyportError } from '@sallyport/core'

const connectTimeoutMs = 8_000

/** Everything that is not the public internet: this machine, its networks, its cloud's metadata service (RFC 6890 and what came after). */
const inward = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  inward.addSubnet(network, prefix, 'ipv4')
const outward = new BlockList()
outward.addSubnet('2000::', 3, 'ipv6')
/** Inside 2000::/3, and yet not outward: documentation, and addresses that wrap an IPv4 address. */
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  inward.addSubnet(network, prefix, 'ipv6')

/** Whether an address belongs to the public internet. */
export function isPublic(address: string, family: number): boolean {
  return family === 4 ? !inward.check(address, 'ipv4') : outward.check(address, 'ipv6') && !inward.check(address, 'ipv6')
}

/** A plain connection to a public host. The name is resolved once, here, and the address that was checked is the one that is connected to. */
export async function openTunnel(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const found = await lookup(host, { all: true }).catch(() => [])
  const [first] = found
  if (first === undefined || !found.every(({ address, family }) => isPublic(address, family)))
    throw new SallyportError(
      'not_in_scope',
      `${host} leads to no public address.`,
      'No connection was made.',
      'Name a host of the public internet.',
    )
  return new Promise((resolve, reject) => {
    const socket = connect({ host: first.address, port })
    const fail = (): void => {
      socket.destroy()
      reject(
        new SallyportError(
          'upstream_unavailable',
          `${host} could not be reached.`,
          'No connection was made.',
          'Try again later.',
        ),
      )
    }
    socket.setTimeout(connectTimeoutMs, fail)
    socket.once('error', fail)
    signal.addEventListener('abort', () => socket.destroy(), { once: true })
    if (signal.aborted) return fail()
    socket.once('connect', () => {
      socket.setTimeout(0)
      socket.off('error', fail)
      resolve(socket)
    })
  })
}
