import { Dialog } from '@base-ui/react/dialog'
import { useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, type ReactElement, useState } from 'react'
import { signOut } from './sign-out.ts'
import { Key } from './parts.tsx'
import { places } from './places.ts'
import { nextTheme } from './theme.ts'

interface Act {
  readonly name: string
  readonly keys: string
  run(): void
}

/** Where to go and what to do, by typing a part of its name. */
export default function Palette({ onClose }: { readonly onClose: () => void }): ReactElement {
  const navigate = useNavigate()
  const [typed, setTyped] = useState('')
  const [chosen, setChosen] = useState(0)
  const acts: readonly Act[] = [
    ...places.map(({ to, name, key }) => ({ name, keys: `g ${key}`, run: () => void navigate({ to }) })),
    { name: 'Change colours', keys: '', run: nextTheme },
    { name: 'Your passkeys', keys: '', run: () => location.assign('/people/me') },
    { name: 'Configuration', keys: '', run: () => location.assign('/configuration') },
    { name: 'Sign out', keys: '', run: () => void signOut() },
  ]
  const shown = acts.filter(({ name }) => name.toLowerCase().includes(typed.trim().toLowerCase()))
  const at = Math.min(chosen, shown.length - 1)
  const run = (act: Act | undefined): void => {
    if (act === undefined) return
    onClose()
    act.run()
  }
  const steer = (event: KeyboardEvent): void => {
    if (event.key === 'Enter') run(shown[at])
    else if (event.key === 'ArrowDown') setChosen(Math.min(at + 1, shown.length - 1))
    else if (event.key === 'ArrowUp') setChosen(Math.max(at - 1, 0))
    else return
    event.preventDefault()
  }
  return (
    <Dialog.Root open onOpenChange={(open) => (open ? undefined : onClose())}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-40 bg-black/40" />
        <Dialog.Popup className="fixed top-[14vh] left-1/2 z-50 w-[min(34rem,calc(100vw-2rem))] -translate-x-1/2 overflow-hidden rounded-xl border border-line bg-card shadow-2xl">
          <Dialog.Title className="sr-only">Go to</Dialog.Title>
          <input
            autoFocus
            role="combobox"
            aria-label="Where to go, or what to do"
            aria-expanded="true"
            aria-controls="acts"
            aria-activedescendant={shown.length > 0 ? `act-${at}` : undefined}
            value={typed}
            maxLength={60}
            placeholder="Go to a page, or do something"
            onKeyDown={steer}
            onChange={(event) => {
              setTyped(event.target.value)
              setChosen(0)
            }}
            className="h-12 w-full border-b border-line bg-transparent px-4 text-lead placeholder:text-dim focus-visible:outline-none"
          />
          {shown.length === 0 ? <p className="px-4 py-3 text-dim">Nothing here is called that.</p> : null}
          <ul id="acts" role="listbox" aria-label="Pages and acts" className="relative max-h-80 overflow-y-auto p-1.5">
            {shown.map((act, index) => (
              <li
                key={act.name}
                id={`act-${index}`}
                role="option"
                aria-selected={index === at}
                onClick={() => run(act)}
                onMouseMove={() => setChosen(index)}
                className="flex h-9 cursor-pointer items-center justify-between rounded-md px-2.5 aria-selected:bg-press"
              >
                {act.name}
                {act.keys === '' ? null : <Key>{act.keys}</Key>}
              </li>
            ))}
          </ul>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
