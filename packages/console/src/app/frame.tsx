import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, type ReactElement, Suspense, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import type { SignsView } from '../shapes/now.ts'
import { fetchConfirm, KillButton } from './kill.tsx'
import { currentLive, subscribeLive } from './live.ts'
import { Key } from './parts.tsx'
import { places, type Place } from './places.ts'
import { Said } from './said.tsx'
import { signOut } from './sign-out.ts'
import { useSigns } from './signs.ts'
import { nextTheme, useTheme } from './theme.ts'
import { isForPage } from './typing.ts'

const Palette = lazy(() => import('./palette.tsx'))
const person = document.body.dataset['person'] ?? ''

/** What is around every page: the switch that stops everything, where one can go, by pointer, by keys and by the palette. */
export function Frame(): ReactElement {
  const [open, setOpen] = useState(false)
  useKeys(() => setOpen(true))
  useEffect(fetchConfirm, [])
  const signs = useSigns()
  const waiting = signs?.waiting ?? 0
  const path = useRouterState({ select: ({ location }) => location.pathname })
  const place = places.find(({ to }) => path.startsWith(to))
  const [name, to] = [place?.name ?? 'Console', place?.to ?? '']
  useEffect(() => {
    // On a phone the pages' names are wider than it.
    document.querySelector(`nav a[href="/console${to}"]`)?.scrollIntoView({ inline: 'center', block: 'nearest' })
  }, [to])
  useEffect(() => {
    document.title = `${name}${waiting === 0 ? '' : ` (${waiting} waiting)`} · Sallyport`
  }, [name, waiting])
  return (
    <div className="min-h-screen lg:grid lg:grid-cols-[14rem_minmax(0,1fr)]">
      <a
        href="#main"
        className="sr-only z-50 rounded bg-card px-3 py-2 focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
        onClick={(event) => {
          event.preventDefault()
          document.querySelector<HTMLElement>('#main')?.focus()
        }}
      >
        Skip to the page
      </a>
      <Side signs={signs} onPalette={() => setOpen(true)} />
      <main id="main" tabIndex={-1} className="min-w-0 outline-none">
        <Stale />
        <Outlet />
      </main>
      <Said />
      {open ? (
        <Suspense fallback={null}>
          <Palette onClose={() => setOpen(false)} />
        </Suspense>
      ) : null}
    </div>
  )
}

function Side({ signs, onPalette }: { readonly signs: SignsView | null; readonly onPalette: () => void }): ReactElement {
  return (
    <header className="sticky top-0 z-20 border-b border-line bg-side lg:static lg:border-r lg:border-b-0">
      <div className="lg:sticky lg:top-0 lg:flex lg:h-screen lg:flex-col lg:overflow-y-auto">
        <div className="flex items-center gap-2 px-4 pt-2.5 lg:flex-wrap lg:pt-4">
          <Link to="/now" className="mr-auto rounded text-lead font-semibold tracking-tight whitespace-nowrap">
            <span aria-hidden="true" className="text-accent">
              ⊓{' '}
            </span>
            Sallyport
          </Link>
          <button
            type="button"
            onClick={onPalette}
            className="flex h-9 items-center gap-2 rounded-md px-2 text-small whitespace-nowrap text-dim hover:bg-press hover:text-ink lg:h-7"
          >
            Go <Key>⌘K</Key>
          </button>
          <KillButton look="kill" shortcut="x" className="lg:mt-1.5 lg:w-full" killing={everything}>
            <span aria-hidden="true">■</span>
            <span>
              Stop<span className="max-lg:sr-only"> everything</span>
            </span>
            <Key onFill>X</Key>
          </KillButton>
        </div>
        <Stopped sentences={signs?.stopped ?? []} />
        <nav
          aria-label="Console"
          className="flex gap-0.5 overflow-x-auto px-2 py-1.5 [scrollbar-width:none] lg:mt-2 lg:flex-col lg:overflow-x-visible"
        >
          {places.map((place) => (
            <PlaceLink key={place.to} place={place} count={place.to === '/requests' ? (signs?.waiting ?? 0) : 0} />
          ))}
        </nav>
        <div className="hidden flex-1 lg:block" />
        <Foot isProposed={signs?.isProposed === true} />
      </div>
    </header>
  )
}

/** What is shown is no longer what is: said over every page, since nothing else there would tell. */
function Stale(): ReactElement | null {
  const state = useSyncExternalStore(subscribeLive, () => currentLive().state)
  if (state === 'live' || state === 'connecting') return null
  return (
    <p role="status" className="bg-warn-soft px-4 py-2 text-small font-medium text-warn sm:px-6 lg:px-8">
      <span aria-hidden="true">⚠ </span>
      {state === 'ended' ? (
        <>
          This page is no longer told what happens: you are signed out.{' '}
          <a className="underline" href={`/sign-in?next=${encodeURIComponent(location.pathname)}`}>
            Sign in again
          </a>
        </>
      ) : (
        'The gate does not answer: what is shown here may be old. Asking again …'
      )}
    </p>
  )
}

const everything = { scope: { kind: 'all', id: '*' }, name: 'every agent' } as const

/** On every page: whoever arrives in the middle of the night sees first that something is stopped. */
function Stopped({ sentences }: { readonly sentences: readonly string[] }): ReactElement | null {
  const [first] = sentences
  if (first === undefined) return null
  return (
    <Link
      to="/now"
      className="mx-4 mt-2 block rounded-md bg-bad-soft px-2.5 py-1.5 text-small font-medium text-bad [overflow-wrap:anywhere]"
    >
      <span aria-hidden="true">■ </span>
      <bdi>{first}</bdi>
      {sentences.length === 1 ? '' : `, and ${sentences.length - 1} more`}
    </Link>
  )
}

function Foot({ isProposed }: { readonly isProposed: boolean }): ReactElement {
  const theme = useTheme()
  const look = 'rounded hover:text-ink'
  return (
    <div className="hidden gap-2 px-4 py-3 text-small text-dim lg:grid">
      {isProposed ? (
        <a href="/configuration" className="rounded-md bg-warn-soft px-2.5 py-1.5 font-medium text-warn">
          <span aria-hidden="true">◷ </span>A wider configuration waits
        </a>
      ) : null}
      <div className="flex items-center justify-between">
        <Stream />
        <button type="button" className={look} onClick={nextTheme} aria-label={`Colours: ${theme}. Change`}>
          <span aria-hidden="true">◐</span> {theme}
        </button>
      </div>
      <div className="flex items-center justify-between gap-2 border-t border-line pt-2">
        <a href="/people/me" className={`min-w-0 truncate ${look}`} title="Your passkeys">
          {person}
        </a>
        <button type="button" className={look} onClick={() => void signOut()}>
          Sign out
        </button>
      </div>
    </div>
  )
}

function PlaceLink({ place, count }: { readonly place: Place; readonly count: number }): ReactElement {
  return (
    <Link
      to={place.to}
      className="group flex h-9 shrink-0 items-center gap-2.5 rounded-md px-2.5 font-medium text-dim hover:bg-press hover:text-ink aria-[current=page]:bg-press aria-[current=page]:text-ink lg:h-8 lg:px-2"
    >
      <svg
        viewBox="0 0 16 16"
        className="hidden size-4 lg:block"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.3"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        <path d={place.icon} />
      </svg>
      {place.name}
      {count === 0 ? null : (
        <span className="rounded-full bg-warn-soft px-1.5 text-tiny font-semibold text-warn tabular-nums lg:ml-auto">
          {count}
          <span className="sr-only"> waiting</span>
        </span>
      )}
    </Link>
  )
}

const streamWords = {
  connecting: 'Connecting…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
  ended: 'Ended: sign in again',
} as const
const streamSigns = { connecting: '○', live: '●', reconnecting: '◌', ended: '✕' } as const

export function Stream(): ReactElement {
  const state = useSyncExternalStore(subscribeLive, () => currentLive().state)
  return (
    <span
      className={`inline-flex items-center gap-1.5 text-small ${state === 'live' ? 'text-good' : 'text-warn'}`}
      data-stream={state}
    >
      <span aria-hidden="true">{streamSigns[state]}</span>
      {streamWords[state]}
    </span>
  )
}

/** `g` and a letter goes to a page, ⌘K or Ctrl K opens the palette. Never while somebody types. */
function useKeys(onPalette: () => void): void {
  const navigate = useNavigate()
  // Kept while what is around the pages is drawn anew between the two keys.
  const begun = useRef(false)
  useEffect(() => {
    const hear = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() === 'k' && (event.metaKey || event.ctrlKey)) {
        event.preventDefault()
        onPalette()
        return
      }
      if (!isForPage(event)) return
      const goes = begun.current
      begun.current = event.key === 'g' && !goes
      const place = goes ? places.find(({ key }) => key === event.key) : undefined
      if (place !== undefined) void navigate({ to: place.to })
      else if (event.key === '?') onPalette()
    }
    window.addEventListener('keydown', hear)
    return () => window.removeEventListener('keydown', hear)
  }, [navigate, onPalette])
}
