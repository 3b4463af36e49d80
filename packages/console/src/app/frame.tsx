import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { lazy, type ReactElement, Suspense, useEffect, useState, useSyncExternalStore } from 'react'
import { post, saidShape } from './api.ts'
import { fetchConfirm } from './kill.tsx'
import { currentLive, subscribeLive } from './live.ts'
import { Key } from './parts.tsx'
import { places, type Place } from './places.ts'
import { Said } from './said.tsx'
import { nextTheme, useTheme } from './theme.ts'

const Palette = lazy(() => import('./palette.tsx'))
const person = document.body.dataset['person'] ?? ''

/** What is around every page: where one can go, by pointer, by keys and by the palette. */
export function Frame(): ReactElement {
  const [open, setOpen] = useState(false)
  useKeys(() => setOpen(true))
  useEffect(fetchConfirm, [])
  const path = useRouterState({ select: ({ location }) => location.pathname })
  useEffect(() => {
    document.title = `${places.find(({ to }) => path.startsWith(to))?.name ?? 'Console'} · Sallyport`
  }, [path])
  return (
    <div className="min-h-screen lg:grid lg:grid-cols-[13.5rem_1fr]">
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
      <Side onPalette={() => setOpen(true)} />
      <main id="main" tabIndex={-1} className="min-w-0 outline-none">
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

function Side({ onPalette }: { readonly onPalette: () => void }): ReactElement {
  const theme = useTheme()
  return (
    <header className="sticky top-0 z-20 border-b border-line bg-side lg:flex lg:h-screen lg:flex-col lg:border-r lg:border-b-0">
      <div className="flex items-center justify-between gap-2 px-3 pt-2 lg:px-4 lg:pt-4 lg:pb-3">
        <Link to="/now" className="rounded text-lead font-semibold tracking-tight whitespace-nowrap">
          <span aria-hidden="true">⊓ </span>Sallyport
        </Link>
        <button
          type="button"
          onClick={onPalette}
          className="flex h-7 items-center gap-2 rounded-md border whitespace-nowrap border-line bg-card px-2 text-small text-dim hover:text-ink"
        >
          Go <Key>⌘K</Key>
        </button>
      </div>
      <nav aria-label="Console" className="flex gap-0.5 overflow-x-auto px-2 py-1.5 lg:flex-col">
        {places.map((place) => (
          <PlaceLink key={place.to} place={place} />
        ))}
      </nav>
      <div className="hidden flex-1 lg:block" />
      <div className="hidden px-4 py-3 text-small text-dim lg:block">
        <Stream />
        <div className="mt-2 flex items-center justify-between gap-2 border-t border-line pt-2">
          <a href="/people/me" className="min-w-0 truncate rounded hover:text-ink" title="Your passkeys">
            {person}
          </a>
          <span className="flex gap-2">
            <button type="button" className="rounded hover:text-ink" onClick={nextTheme} aria-label={`Colours: ${theme}. Change`}>
              <span aria-hidden="true">◐</span> {theme}
            </button>
            <button type="button" className="rounded hover:text-ink" onClick={() => void signOut()}>
              Sign out
            </button>
          </span>
        </div>
      </div>
    </header>
  )
}

function PlaceLink({ place }: { readonly place: Place }): ReactElement {
  return (
    <Link
      to={place.to}
      className="group flex h-8 shrink-0 items-center gap-2.5 rounded-md px-2 font-medium text-dim hover:bg-press hover:text-ink aria-[current=page]:bg-press aria-[current=page]:text-ink"
    >
      <svg
        viewBox="0 0 16 16"
        className="size-4"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.3"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        <path d={place.icon} />
      </svg>
      {place.name}
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

export async function signOut(): Promise<void> {
  await post('/sign-out', {}, saidShape)
  location.assign('/sign-in')
}

/** `g` and a letter goes to a page, ⌘K or Ctrl K opens the palette. Never while somebody types. */
function useKeys(onPalette: () => void): void {
  const navigate = useNavigate()
  useEffect(() => {
    let waiting = false
    const hear = (event: KeyboardEvent): void => {
      if (event.key.toLowerCase() === 'k' && (event.metaKey || event.ctrlKey)) {
        event.preventDefault()
        onPalette()
        return
      }
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return
      const goes = waiting
      waiting = event.key === 'g' && !goes
      const place = goes ? places.find(({ key }) => key === event.key) : undefined
      if (place !== undefined) void navigate({ to: place.to })
      else if (event.key === '?') onPalette()
    }
    window.addEventListener('keydown', hear)
    return () => window.removeEventListener('keydown', hear)
  }, [navigate, onPalette])
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}
