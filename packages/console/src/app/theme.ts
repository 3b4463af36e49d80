import { useSyncExternalStore } from 'react'

export const themes = ['system', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const key = 'sallyport-theme'
const listeners = new Set<() => void>()

function stored(): Theme {
  const kept = localStorage.getItem(key)
  return themes.find((theme) => theme === kept) ?? 'system'
}

let current = stored()

export function applyTheme(theme: Theme = current): void {
  current = theme
  localStorage.setItem(key, theme)
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  for (const listener of listeners) listener()
}

export function nextTheme(): void {
  applyTheme(themes[(themes.indexOf(current) + 1) % themes.length] ?? 'system')
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => current,
  )
}
