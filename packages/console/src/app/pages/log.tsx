import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate, useRouterState } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import { formatAmount } from '../../time-words.ts'
import type { ShownLine } from '../../shapes/now.ts'
import { type EntryView, entryShape, logPageShape, provenShape } from '../../shapes/pages.ts'
import { ask, explain } from '../api.ts'
import { useAsked } from '../asking.ts'
import { Awaiting } from '../awaiting.tsx'
import { checkProof, type Step } from '../checked.ts'
import { useChosen } from '../chosen.ts'
import { type LogGroup, logGroups, readLogSearch } from '../log-search.ts'
import { Button, Card, Empty, Page } from '../parts.tsx'
import { Rows } from '../rows.tsx'
import { Fence } from '../text.tsx'
import { Ago, Clock } from '../time.tsx'

const fieldLook = 'h-8 rounded-md border border-edge bg-card px-2.5'

/** The record: searched from the newest backwards, one operation's whole story, and its proof, checked by this browser. */
export default function Log(): ReactElement {
  const index = useChosen('/log')
  const search = useRouterState({ select: ({ location }) => readLogSearch(location.search) })
  const query = { text: search.text ?? '', group: search.group ?? 'all', agent: search.agent ?? '' }
  return (
    <Page
      title="Log"
      about="Everything that was asked, decided and done. It cannot be rewritten; choose an entry to have its proof checked here."
    >
      <Filters key={JSON.stringify(query)} {...query} />
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,5fr)_minmax(0,6fr)] 3xl:grid-cols-[minmax(0,1fr)_minmax(0,2fr)]">
        <Found {...query} chosen={index} />
        {index === undefined ? (
          <Card title="One entry">
            <Empty title="No entry is chosen">
              Choose one to see it whole, the other events of the same operation, and its proof.
            </Empty>
          </Card>
        ) : (
          <Chosen key={index} index={index} />
        )}
      </div>
    </Page>
  )
}

interface Query {
  readonly text: string
  readonly group: LogGroup
  readonly agent: string
}

function Filters(query: Query): ReactElement {
  const navigate = useNavigate()
  const [text, setText] = useState(query.text)
  const [group, setGroup] = useState<LogGroup>(query.group)
  const [agent, setAgent] = useState(query.agent)
  const submit = (event: { preventDefault(): void }): void => {
    event.preventDefault()
    void navigate({ to: '/log', search: { text, group, agent } })
  }
  return (
    <form role="search" onSubmit={submit} className="mb-4 flex flex-wrap items-center gap-2">
      <input
        type="search"
        aria-label="Text in the entry"
        placeholder="Text in the entry"
        maxLength={200}
        value={text}
        onChange={(event) => setText(event.target.value)}
        className={`${fieldLook} min-w-48 flex-1 placeholder:text-dim`}
      />
      <input
        aria-label="Agent"
        placeholder="Agent"
        maxLength={256}
        value={agent}
        onChange={(event) => setAgent(event.target.value)}
        className={`${fieldLook} w-36 placeholder:text-dim`}
      />
      <select
        aria-label="Kind"
        value={group}
        onChange={(event) => setGroup(logGroups.find((one) => one === event.target.value) ?? 'all')}
        className={fieldLook}
      >
        {logGroups.map((one) => (
          <option key={one} value={one}>
            {one === 'all' ? 'everything' : one}
          </option>
        ))}
      </select>
      <Button type="submit" look="strong">
        Search
      </Button>
    </form>
  )
}

function Found({ text, group, agent, chosen }: Query & { readonly chosen: string | undefined }): ReactElement {
  const found = useInfiniteQuery({
    queryKey: ['log', text, group, agent],
    queryFn: ({ pageParam, signal }) => {
      const query = new URLSearchParams({ text, group, agent, ...(pageParam === null ? {} : { before: String(pageParam) }) })
      return ask(`/console/data/log?${query.toString()}`, logPageShape, signal)
    },
    initialPageParam: firstPage,
    getNextPageParam: ({ nextBefore }) => nextBefore,
  })
  const lines = found.data?.pages.flatMap((page) => page.lines) ?? []
  const last = found.data?.pages.at(-1)
  return (
    <Card
      flush
      title="Entries"
      aside={
        <>
          {last === undefined ? null : `${last.size.toLocaleString('en-US')} on the log`}
          <Button small onClick={() => void found.refetch()}>
            Newest
          </Button>
        </>
      }
    >
      {found.error === null ? null : (
        <p role="alert" className="px-4 py-3 text-bad">
          {explain(found.error)}
        </p>
      )}
      {lines.length === 0 && !found.isPending ? (
        <Empty title="Nothing found so far">
          {last?.nextBefore === null || last === undefined
            ? 'The whole log was searched. Try fewer words.'
            : `The newest entries do not have it; older ones may.`}
        </Empty>
      ) : (
        <Rows
          rows={lines}
          label="Entries, newest first"
          height="max-h-[28rem] lg:max-h-[calc(100vh-17rem)]"
          rowHeight={54}
          keyOf={(line) => line.index}
        >
          {(line) => <EntryRow line={line} isChosen={String(line.index) === chosen} />}
        </Rows>
      )}
      <div className="border-t border-line px-4 py-2">
        {last?.nextBefore === null ? (
          <span className="text-small text-dim">The log begins here.</span>
        ) : (
          <Button small disabled={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            Search further back
          </Button>
        )}
      </div>
    </Card>
  )
}

const firstPage: number | null = null
const tones = { calm: '', warn: 'text-warn', danger: 'text-bad' } as const

function EntryRow({ line, isChosen }: { readonly line: ShownLine; readonly isChosen: boolean }): ReactElement {
  return (
    <Link
      to="/log/$index"
      params={{ index: String(line.index) }}
      search={true}
      aria-current={isChosen ? 'true' : undefined}
      className="block px-4 py-1.5 -outline-offset-2 hover:bg-soft aria-[current=true]:bg-accent-soft"
    >
      <span className="flex gap-3 text-small">
        <span className={`font-medium ${tones[line.tone]}`}>{line.what}</span>
        <span className="ml-auto text-dim tabular-nums">#{line.index}</span>
        <span className="text-dim">
          <Ago atMs={line.atMs} />
        </span>
      </span>
      <span className="block truncate text-small text-dim">{line.detail}</span>
    </Link>
  )
}

function Chosen({ index }: { readonly index: string }): ReactElement {
  const asked = useAsked(`log/${index}`, entryShape, false)
  return (
    <div className="grid min-w-0 items-start gap-4 3xl:grid-cols-2">
      <Awaiting asked={asked}>{(entry) => <Entry entry={entry} />}</Awaiting>
    </div>
  )
}

function Entry({ entry }: { readonly entry: EntryView }): ReactElement {
  return (
    <>
      <Card title={`Entry ${entry.line.index}`} aside={<Ago atMs={entry.line.atMs} />}>
        <p className={`mb-2 font-medium ${tones[entry.line.tone]}`}>{entry.line.what}</p>
        <p className="mb-3 [overflow-wrap:anywhere]">{entry.line.detail}</p>
        <Fence label="The event, whole" text={entry.event} />
      </Card>
      <div className="grid min-w-0 gap-4">
        <Proof entry={entry} />
        <Card flush title="The whole story of this operation" aside={formatAmount(entry.story.length, 'event')}>
          <ol className="divide-y divide-line">
            {entry.story.map((line) => (
              <li key={line.index}>
                <Link
                  to="/log/$index"
                  params={{ index: String(line.index) }}
                  search={true}
                  aria-current={line.index === entry.line.index ? 'true' : undefined}
                  className="grid grid-cols-[4.2rem_1fr] gap-x-3 px-4 py-1.5 text-small -outline-offset-2 hover:bg-soft aria-[current=true]:bg-accent-soft"
                >
                  <span className="text-dim">
                    <Clock atMs={line.atMs} />
                  </span>
                  <span className="min-w-0">
                    <span className={`font-medium ${tones[line.tone]}`}>{line.what}</span>
                    <span className="block text-dim [overflow-wrap:anywhere]">{line.detail}</span>
                  </span>
                </Link>
              </li>
            ))}
          </ol>
        </Card>
      </div>
    </>
  )
}

function Proof({ entry }: { readonly entry: EntryView }): ReactElement {
  const [steps, setSteps] = useState<readonly Step[] | null>(null)
  const [said, setSaid] = useState('')
  const check = async (): Promise<void> => {
    setSteps(null)
    setSaid('Checking…')
    try {
      const proven = await ask(`/console/data/log/${entry.line.index}/proof`, provenShape)
      setSteps(proven === null ? null : await checkProof(proven, JSON.parse(entry.event)))
      setSaid(proven === null ? 'No checkpoint covers this entry yet: one is signed every second. Try again.' : '')
    } catch (error) {
      setSaid(explain(error))
    }
  }
  const holds = steps?.every(({ held }) => held) === true
  return (
    <Card
      title="Proof"
      aside={
        <Button small onClick={() => void check()}>
          Check it in this browser
        </Button>
      }
    >
      <div aria-live="polite" data-proof={steps === null ? 'none' : holds ? 'holds' : 'fails'}>
        {steps === null ? (
          <p className="text-dim">
            {said === ''
              ? 'The gate hands over hashes and a signature; whether they add up is computed here, by this browser alone.'
              : said}
          </p>
        ) : (
          <>
            <p className={`mb-2 font-semibold ${holds ? 'text-good' : 'text-bad'}`}>
              {holds ? '✓ Proven: it is in the log, unchanged.' : '✕ Not proven. Run “sallyport log verify”.'}
            </p>
            <ul className="grid gap-1.5 text-small">
              {steps.map((step) => (
                <li key={step.what}>
                  <span className={step.held ? 'text-good' : 'text-bad'}>{step.held ? '✓' : '✕'}</span> {step.what}
                  <code className="block text-dim [overflow-wrap:anywhere]">{step.detail}</code>
                </li>
              ))}
            </ul>
            <p className="mt-2 text-small text-dim">
              The key came from the gate. Compare it once with <code>sallyport log key</code>, or with what a witness has.
            </p>
          </>
        )}
      </div>
    </Card>
  )
}
