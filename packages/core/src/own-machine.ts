/** Whether a connected peer's address is this machine itself: what passes between the two crosses no network. */
export function isOwnAddress(address: string | undefined): boolean {
  return address !== undefined && /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1|::ffff:127\.\d{1,3}\.\d{1,3}\.\d{1,3})$/i.test(address)
}

/** The same for a host as people write it, without brackets. A name that only begins like one (`127.0.0.1.example.com`) is another machine's. */
export function isOwnHost(host: string): boolean {
  return host.toLowerCase() === 'localhost' || isOwnAddress(host)
}
