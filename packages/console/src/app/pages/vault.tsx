import type { ReactElement } from 'react'
import { formatAmount, formatBytes } from '../../time-words.ts'
import { type VaultView, vaultShape } from '../../shapes/vault.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { Badge, Card, Empty, Notice, Page } from '../parts.tsx'
import { Rows } from '../rows.tsx'
import { Shown } from '../text.tsx'
import { Ago, Until } from '../time.tsx'
import { KeptThing, Room } from '../kept.tsx'

/** The copies: whose, how old, how large, and until when nobody can delete them. */
export default function Vault(): ReactElement {
  const asked = useAsked('vault', vaultShape)
  return <Awaiting asked={asked}>{(view) => <Copies view={view} />}</Awaiting>
}

function Copies({ view }: { readonly view: VaultView }): ReactElement {
  return (
    <Page
      title="Vault"
      about="Proven copies that nobody, the gate included, can delete or overwrite before their retention ends."
    >
      {view.problems.map((problem) => (
        <Notice key={problem} tone="danger">
          {problem}
        </Notice>
      ))}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(0,26rem)] 3xl:grid-cols-[minmax(0,1fr)_minmax(0,58rem)]">
        <Card
          flush
          title="Copies"
          aside={
            view.copiesInAll === 0 ? null : `${formatAmount(view.copiesInAll, 'copy', 'copies')}, ${sizeOf(view.bytesInAll)}`
          }
        >
          {view.copies.length === 0 ? (
            <Empty title="No copy was needed yet">
              Before anything is destroyed a copy of it is sealed here, read back and compared. <code>keep:</code> in
              sallyport.yaml makes copies of whole systems besides.
            </Empty>
          ) : (
            <Rows
              rows={view.copies}
              label="Copies"
              height="max-h-[32rem] lg:max-h-[calc(100vh-14rem)]"
              rowHeight={62}
              keyOf={(copy) => copy.id}
            >
              {(copy) => <CopyRow copy={copy} />}
            </Rows>
          )}
        </Card>
        <div className="grid min-w-0 items-start gap-4 3xl:grid-cols-2">
          {view.targets.map((target) => (
            <KeptThing key={target.name} target={target} />
          ))}
          {view.targets.length === 0 ? (
            <Card title="Kept whole">
              <p className="text-dim">
                Nothing is. <code>keep:</code> under an upstream copies all of it every so often and tries a restore.
              </p>
            </Card>
          ) : null}
          <Room view={view} />
          <Moved view={view} />
        </div>
      </div>
    </Page>
  )
}

function sizeOf(bytes: number): string {
  return formatBytes(bytes).replace(/ \(.*/, '')
}

function CopyRow({ copy }: { readonly copy: VaultView['copies'][number] }): ReactElement {
  return (
    <div className="px-4 py-2">
      <p className="flex flex-wrap items-center gap-x-2">
        <Badge sign="▣" tone="calm">
          {copy.kind}
        </Badge>
        <span className="font-medium">
          <Shown text={copy.upstream} most={60} />
        </span>
        <span className="text-small text-dim">
          {formatAmount(copy.rows, 'row')}, {sizeOf(copy.bytes)}
        </span>
        <span className="ml-auto text-small text-dim">
          <Ago atMs={copy.madeAtMs} />
        </span>
      </p>
      <p className="flex flex-wrap justify-between gap-x-3 text-small text-dim">
        <span className="min-w-0 truncate">
          <code title={copy.id}>{copy.id.slice(0, 12)}</code> <Shown text={copy.things.join(', ')} most={160} />
          {copy.thingsInAll > copy.things.length ? ` and ${copy.thingsInAll - copy.things.length} more` : ''}
        </span>
        <span>
          kept for <Until atMs={copy.retainUntilMs} /> more
        </span>
      </p>
    </div>
  )
}

function Moved({ view }: { readonly view: VaultView }): ReactElement {
  return (
    <Card title="Moved out of reach">
      {view.quarantined.length === 0 ? (
        <p className="text-dim">Nothing. With “quarantine:” on an upstream, what is dropped is first moved away for a time.</p>
      ) : (
        <ul className="grid gap-1.5">
          {view.quarantined.map((moved) => (
            <li key={`${moved.upstream} ${moved.name}`} className="flex flex-wrap justify-between gap-x-3">
              <span>
                <Shown text={moved.name} /> <span className="text-dim">of</span> <Shown text={moved.upstream} most={60} />
              </span>
              {moved.untilMs === null ? null : (
                <span className="text-small text-dim">
                  gone in <Until atMs={moved.untilMs} />
                </span>
              )}
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
