import type { ButtonHTMLAttributes, ReactElement, ReactNode } from 'react'

export type Tone = 'calm' | 'good' | 'warn' | 'danger'

const badgeTones: Readonly<Record<Tone, string>> = {
  calm: 'bg-soft text-dim',
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

export function ImpactBadge({ kind }: { readonly kind: keyof typeof impacts }): ReactElement {
  const { sign, tone } = impacts[kind]
  return (
    <Badge sign={sign} tone={tone}>
      {kind}
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
    <div className="mx-auto w-full max-w-[92rem] px-4 pt-5 pb-16 sm:px-6 lg:px-8">
      <header className="mb-5 flex flex-wrap items-center justify-between gap-x-6 gap-y-2">
        <div>
          <h1 className="text-title font-semibold tracking-tight">{title}</h1>
          {about === undefined ? null : <p className="max-w-3xl text-dim">{about}</p>}
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
      <div className="flex min-h-10 flex-wrap items-center justify-between gap-x-4 border-b border-line px-4 py-1.5">
        <h2 className="font-medium">{title}</h2>
        <div className="flex flex-wrap items-center gap-x-3 text-small text-dim">{aside}</div>
      </div>
      <div className={flush ? '' : 'px-4 py-3'}>{children}</div>
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

const buttons = {
  plain: 'border border-line bg-card text-ink hover:bg-soft',
  strong: 'border border-transparent bg-ink text-ground hover:opacity-90',
  stop: 'border border-line bg-card text-bad hover:bg-bad-soft',
  kill: 'border border-transparent bg-bad-fill text-white hover:opacity-90',
} as const

export function Button({
  look = 'plain',
  small = false,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { readonly look?: keyof typeof buttons; readonly small?: boolean }): ReactElement {
  const size = small ? 'h-7 px-2 text-small' : 'h-8 px-3'
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md font-medium whitespace-nowrap disabled:opacity-50 ${size} ${buttons[look]}`}
    />
  )
}

export function Key({ children }: { readonly children: ReactNode }): ReactElement {
  return <kbd className="rounded border border-line bg-soft px-1 text-tiny text-dim">{children}</kbd>
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
    <p role="note" className={`mb-4 rounded-lg px-4 py-2.5 text-small [overflow-wrap:anywhere] ${badgeTones[tone]}`}>
      <span aria-hidden="true">⚠ </span>
      {children}
    </p>
  )
}
