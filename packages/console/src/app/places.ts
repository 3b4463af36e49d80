/** The pages of the console: address, name, the key after `g`, and an icon as a path in a box of 16 by 16. */
export const places = [
  { to: '/now', name: 'Now', key: 'n', icon: 'M1.5 8h3l2-5 3 10 2-5h3' },
  { to: '/requests', name: 'Requests', key: 'r', icon: 'M2 9.5h3.2l1 2h3.6l1-2H14M4 3h8l2 6.5V13H2V9.5z' },
  { to: '/agents', name: 'Agents', key: 'a', icon: 'M5 6.5h6v6H5zM8 6.5V3.5M6.7 9h.1M9.2 9h.1M3 8.5v2M13 8.5v2' },
  {
    to: '/upstreams',
    name: 'Upstreams',
    key: 'u',
    icon: 'M3 4c0-2.3 10-2.3 10 0v8c0 2.3-10 2.3-10 0zM3 4c0 2.3 10 2.3 10 0M3 8c0 2.3 10 2.3 10 0',
  },
  {
    to: '/vault',
    name: 'Vault',
    key: 'v',
    icon: 'M2.5 3h11v10h-11zM8 5.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8M4.5 13v1.2M11.5 13v1.2',
  },
  { to: '/log', name: 'Log', key: 'l', icon: 'M3 4h10M3 8h10M3 12h6' },
  { to: '/policy', name: 'Policy', key: 'p', icon: 'M8 1.8l5 2v4c0 3.2-2.2 5.4-5 6.4-2.800-1-5-3.200-5-6.400v-4z' },
  {
    to: '/people',
    name: 'People',
    key: 'e',
    icon: 'M6 7.500a2.300 2.300 0 1 0 0-4.600 2.300 2.300 0 0 0 0 4.600M2 13.200c0-4.600 8-4.600 8 0M11 7.500a1.900 1.900 0 1 0-.4-3.700M11.500 9.300c1.700.3 2.700 1.600 2.700 3.600',
  },
] as const
export type Place = (typeof places)[number]
