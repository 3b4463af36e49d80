import { readFileSync } from 'node:fs'

const names = ['theme.js', 'page.js', 'passkey.js', 'live.js', 'arrived.js'] as const

/** The pages' scripts, read once, without their lines of comment. Nothing else is served from disk, so no path can walk anywhere. */
export const assets: ReadonlyMap<string, string> = new Map(
  names.map((name) => [
    name,
    readFileSync(new URL(`./assets/${name}`, import.meta.url), 'utf8').replaceAll(/^[ ]*\/\/.*\n/gm, ''),
  ]),
)
