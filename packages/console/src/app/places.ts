/** The pages of the console: address, name, the key after `g`, and an icon as a path in a box of 16 by 16. */
export const places = [{ to: '/now', name: 'Now', key: 'n', icon: 'M1.5 8h3l2-5 3 10 2-5h3' }] as const
export type Place = (typeof places)[number]
