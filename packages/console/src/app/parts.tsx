import type { ComponentProps, ReactElement, ReactNode } from 'react'
import { formatCount } from '../time-words.ts'

export type Tone = 'calm' | 'strong' | 'good' | 'warn' | 'danger'

const badgeTones: Readonly<Record<Tone, string>> = {
  calm: 'bg-soft text-dim',
  strong: 'bg-press text-ink',
  good: 'bg-good-soft text-good',
  warn: 'bg-warn-soft text-warn',
  danger: 'bg-bad-soft text-bad',
}

/** A word with a sign: colour is never the only one. */
export function Badge({
  tone,
  sign,
  children,
}: {
  readonly tone: Tone
  readonly sign: string
  readonly children: ReactNode
}): ReactElement {
  return (
    <span
      className={`inline-flex items-center gap-1 rounded px-1.5 py-px text-tiny font-medium whitespace-nowrap ${badgeTones[tone]}`}
    >
      <span aria-hidden="true">{sign}</span>
      {children}
    </span>
  )
}

const impacts = {
  read: { sign: '○', tone: 'calm' },
  write: { sign: '✎', tone: 'calm' },
  disrupt: { sign: '◐', tone: 'warn' },
  escalate: { sign: '▲', tone: 'warn' },
  destroy: { sign: '✕', tone: 'danger' },
  unknown: { sign: '?', tone: 'danger' },
  refused: { sign: '⊘', tone: 'warn' },
} as const satisfies Readonly<Record<string, { readonly sign: string; readonly tone: Tone }>>

export function ImpactBadge({ kind, count }: { readonly kind: keyof typeof impacts; readonly count?: number }): ReactElement {
  const { sign, tone } = impacts[kind]
  return (
    <Badge sign={sign} tone={tone}>
      {count === undefined ? '' : `${formatCount(count)} `}
      {kind}
    </Badge>
  )
}

export function EnvironmentBadge({ environment }: { readonly environment: string }): ReactElement {
  const isProduction = environment === 'production'
  return (
    <Badge sign={isProduction ? '●' : '○'} tone={isProduction ? 'strong' : 'calm'}>
      {environment}
    </Badge>
  )
}

export function signOf(kind: keyof typeof impacts): string {
  return impacts[kind].sign
}

export function Page({
  title,
  about,
  actions,
  children,
}: {
  readonly title: string
  readonly about?: ReactNode
  readonly actions?: ReactNode
  readonly children: ReactNode
}): ReactElement {
  return (
    <div className="mx-auto w-full max-w-[150rem] px-4 pt-5 pb-16 sm:px-6 lg:px-8">
      <header className="mb-5 flex flex-wrap items-center justify-between gap-x-6 gap-y-2">
        <div>
          <h1 className="text-title font-semibold tracking-tight">{title}</h1>
          {about === undefined ? null : <p className="max-w-4xl text-dim">{about}</p>}
        </div>
        <div className="flex flex-wrap items-center gap-2">{actions}</div>
      </header>
      {children}
    </div>
  )
}

export function Card({
  title,
  aside,
  children,
  flush = false,
}: {
  readonly title: string
  readonly aside?: ReactNode
  readonly children: ReactNode
  /** The matter goes to the edges. */
  readonly flush?: boolean
}): ReactElement {
  return (
    <section aria-label={title} className="min-w-0 overflow-hidden rounded-lg border border-line bg-card">
      <div
        className={`flex min-h-10 flex-wrap items-center justify-between gap-x-4 px-4 py-1.5 ${flush ? 'border-b border-line' : ''}`}
      >
        <h2 className="font-medium">{title}</h2>
        <div className="flex flex-wrap items-center gap-x-3 text-small text-dim">{aside}</div>
      </div>
      <div className={flush ? '' : 'px-4 pt-0.5 pb-3.5'}>{children}</div>
    </section>
  )
}

/** Nothing is there: what that means, and what to do. */
export function Empty({ title, children }: { readonly title: string; readonly children: ReactNode }): ReactElement {
  return (
    <div className="px-4 py-8 text-center">
      <p className="font-medium">{title}</p>
      <div className="mx-auto mt-1 max-w-md text-dim">{children}</div>
    </div>
  )
}

/** A link among words: underlined, since colour is never the only sign. */
export const linkLook = 'rounded underline decoration-edge underline-offset-2 hover:decoration-current'

const buttons = {
  plain: 'border border-line bg-card text-ink hover:bg-soft',
  strong: 'border border-transparent bg-ink text-ground hover:opacity-90',
  stop: 'border border-line bg-card text-bad hover:bg-bad-soft',
  kill: 'border border-transparent bg-bad-fill text-white hover:opacity-90',
} as const

export function Button({
  look = 'plain',
  small = false,
  className = '',
  ...rest
}: ComponentProps<'button'> & { readonly look?: keyof typeof buttons; readonly small?: boolean }): ReactElement {
  const size = small ? 'h-7 px-2 text-small' : 'h-8 px-3'
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md font-medium whitespace-nowrap disabled:opacity-50 ${size} ${buttons[look]} ${className}`}
    />
  )
}

/** A key to press; on what is filled with a colour of its own it takes that one's. Where there is no keyboard it is not shown. */
export function Key({ children, onFill = false }: { readonly children: ReactNode; readonly onFill?: boolean }): ReactElement {
  const look = onFill ? 'border-white/40 text-white' : 'border-line bg-soft text-dim'
  return <kbd className={`rounded border px-1 text-tiny font-normal max-sm:hidden ${look}`}>{children}</kbd>
}

/** Names and values, beside each other where there is room. */
export function Facts({ facts }: { readonly facts: readonly (readonly [string, ReactNode])[] }): ReactElement {
  return (
    <dl className="grid grid-cols-[fit-content(9rem)_minmax(0,1fr)] gap-x-4 gap-y-1.5">
      {facts.map(([name, value]) => (
        <div key={name} className="col-span-2 grid grid-cols-subgrid">
          <dt className="text-dim">{name}</dt>
          <dd className="min-w-0 [overflow-wrap:anywhere]">{value}</dd>
        </div>
      ))}
    </dl>
  )
}

export function Notice({ tone, children }: { readonly tone: 'warn' | 'danger'; readonly children: ReactNode }): ReactElement {
  return (
    <div role="note" className={`mb-4 flex gap-2 rounded-lg px-4 py-2.5 text-small [overflow-wrap:anywhere] ${badgeTones[tone]}`}>
      <span aria-hidden="true">⚠</span>
      <div className="min-w-0">{children}</div>
    </div>
  )
}
