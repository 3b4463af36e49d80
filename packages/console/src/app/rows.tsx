import { useVirtualizer } from '@tanstack/react-virtual'
import { type ReactElement, type ReactNode, useRef } from 'react'

/** A long list of which only what is seen is in the document. Its rows say their place, so that a screen reader counts all of them. */
export function Rows<Row>({
  rows,
  label,
  height,
  rowHeight,
  keyOf,
  children,
}: {
  readonly rows: readonly Row[]
  readonly label: string
  /** A class that bounds how high it is. */
  readonly height: string
  /** Guessed; each is measured when it is shown. */
  readonly rowHeight: number
  readonly keyOf: (row: Row) => string | number
  readonly children: (row: Row) => ReactNode
}): ReactElement {
  const scroll = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    getItemKey: (index) => {
      const row = rows[index]
      return row === undefined ? index : keyOf(row)
    },
  })
  return (
    <div ref={scroll} className={`overflow-y-auto ${height}`} tabIndex={0} role="group" aria-label={label}>
      <ul className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, key, start }) => {
          const row = rows[index]
          return row === undefined ? null : (
            <li
              key={key}
              ref={virtual.measureElement}
              data-index={index}
              aria-setsize={rows.length}
              aria-posinset={index + 1}
              className="absolute inset-x-0 top-0 border-b border-line"
              style={{ transform: `translateY(${start}px)` }}
            >
              {children(row)}
            </li>
          )
        })}
      </ul>
    </div>
  )
}
