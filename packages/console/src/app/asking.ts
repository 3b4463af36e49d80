import { useQuery, type UseQueryResult } from '@tanstack/react-query'
import { useEffect, useRef, useSyncExternalStore } from 'react'
import type * as z from 'zod/mini'
import { ask } from './api.ts'
import { currentLive, subscribeLive } from './live.ts'

/** How soon after a change what is shown is asked for again: a busy gate changes all the time. */
const settleMs = 700

/** What the gate says at an address of the console's own; asked again when the stream says that something changed. */
export function useAsked<Shape extends z.ZodMiniType>(
  address: string,
  shape: Shape,
  isLive = true,
): UseQueryResult<z.output<Shape>> {
  const result = useQuery({
    queryKey: [address],
    queryFn: ({ signal }) => ask(`/console/data/${address}`, shape, signal),
  })
  const changes = useSyncExternalStore(subscribeLive, () => currentLive().changes)
  const { refetch } = result
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null)
  useEffect(() => {
    // One that is due already says what changed meanwhile too: changes that never end must not put it off for ever.
    if (!isLive || changes === 0 || timer.current !== null) return
    timer.current = setTimeout(() => {
      timer.current = null
      void refetch({ cancelRefetch: false })
    }, settleMs)
  }, [changes, isLive, refetch])
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current)
      timer.current = null
    },
    [],
  )
  return result
}
