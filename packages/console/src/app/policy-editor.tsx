import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { type ReactElement, useEffect, useState } from 'react'
import { formatAmount } from '../time-words.ts'
import { draftShape, policyTextShape, proposingShape, shownTrialShape, type TrialView } from '../shapes/policy.ts'
import { explain, post } from './api.ts'
import { useAsked } from './asking.ts'
import { Awaiting } from './awaiting.tsx'
import { forgetChange, offeredChange } from './offered-change.ts'
import { Button, Card } from './parts.tsx'
import { Shown } from './text.tsx'
import { Trial } from './trial.tsx'

/** The text, tried as often as one likes. What comes of it is a proposal, and never more. */
export default function PolicyEditor({ path }: { readonly path: string }): ReactElement {
  const texts = useAsked('policy/text', policyTextShape, false)
  const draft = useOffered()
  return (
    <Awaiting asked={texts}>
      {({ inForce, proposed }) =>
        draft === null ? (
          <Editor begin={inForce} {...{ inForce, proposed, path }} />
        ) : (
          <Awaiting asked={draft}>{({ text }) => <Editor begin={text} {...{ inForce, proposed, path }} />}</Awaiting>
        )
      }
    </Awaiting>
  )
}

/** The text with what another page offered in it; null: none did. */
function useOffered(): UseQueryResult<{ readonly text: string }> | null {
  const change = offeredChange()
  const draft = useQuery({
    queryKey: ['draft', JSON.stringify(change)],
    queryFn: () => post('/console/policy/draft', change, draftShape),
    enabled: change !== null,
  })
  useEffect(() => forgetChange, [])
  return change === null ? null : draft
}

interface Tried {
  readonly text: string
  readonly trial: TrialView
  readonly unread: number
}

interface EditorProps {
  readonly begin: string
  readonly inForce: string
  readonly proposed: string | null
  readonly path: string
}

function Editor({ begin, inForce, proposed, path }: EditorProps): ReactElement {
  const [text, setText] = useState(begin)
  const [tried, setTried] = useState<Tried | null>(null)
  const { busy, failed, work } = useWork()
  const attempt = async (next: string): Promise<void> => {
    setText(next)
    setTried({ text: next, ...(await post('/console/policy/try', { text: next }, shownTrialShape)) })
  }
  const expect = async (line: string): Promise<void> =>
    attempt((await post('/console/policy/draft', { kind: 'expect', line }, draftShape)).text)
  return (
    <div className="grid gap-4 xl:grid-cols-2">
      <Card
        title="The text"
        aside={
          <Whole {...{ inForce, proposed }} onChoose={(next) => work(() => attempt(next))} onReset={() => setText(inForce)} />
        }
      >
        <label className="mb-1.5 block text-small text-dim" htmlFor="policy-text">
          sallyport.yaml as it would be. Lines under <code>expect:</code> are tests: nothing is proposed that they do not hold
          for.
        </label>
        <textarea
          id="policy-text"
          value={text}
          spellCheck={false}
          onChange={(event) => setText(event.target.value)}
          className="h-[28rem] w-full resize-y rounded-md border border-edge bg-soft p-3 font-mono text-small leading-5 whitespace-pre"
        />
        <Expect onAdd={(line) => work(() => expect(line))} disabled={busy || text !== inForce} />
        <div className="mt-3 flex flex-wrap items-center gap-2">
          <Button look="strong" disabled={busy} onClick={() => work(() => attempt(text))}>
            {busy ? 'Trying…' : 'Try it'}
          </Button>
          <Propose {...{ tried, text, busy, work, path }} />
        </div>
        {failed === null ? null : (
          <p role="alert" className="mt-2 font-medium text-bad">
            {failed}
          </p>
        )}
      </Card>
      <Outcome tried={tried} text={text} />
    </div>
  )
}

function Outcome({ tried, text }: { readonly tried: Tried | null; readonly text: string }): ReactElement {
  if (tried === null)
    return (
      <Card title="What it would do">
        <p className="text-dim">
          “Try it” shows what the text gives beyond what is in force, whether it keeps to what is expected, and what the log’s
          requests would have got. Nothing is changed by trying.
        </p>
      </Card>
    )
  return (
    <div className="min-w-0" aria-live="polite">
      {tried.text === text ? null : <p className="mb-2 text-small text-warn">⚠ The text was changed since. Try it again.</p>}
      <Trial trial={tried.trial} unread={tried.unread} />
    </div>
  )
}

function useWork(): {
  readonly busy: boolean
  readonly failed: string | null
  readonly work: (act: () => Promise<void>) => void
} {
  const [busy, setBusy] = useState(false)
  const [failed, setFailed] = useState<string | null>(null)
  const work = (act: () => Promise<void>): void => {
    setBusy(true)
    setFailed(null)
    void act()
      .catch((error: unknown) => setFailed(explain(error)))
      .finally(() => setBusy(false))
  }
  return { busy, failed, work }
}

function Whole({
  inForce,
  proposed,
  onChoose,
  onReset,
}: {
  readonly inForce: string
  readonly proposed: string | null
  readonly onChoose: (text: string) => void
  readonly onReset: () => void
}): ReactElement {
  return (
    <>
      {proposed === null || proposed === inForce ? null : (
        <Button small onClick={() => onChoose(proposed)}>
          Try what waits
        </Button>
      )}
      <Button small onClick={onReset}>
        As in force
      </Button>
    </>
  )
}

/** One more expectation, added by the gate where it belongs in the text. */
function Expect({ onAdd, disabled }: { readonly onAdd: (line: string) => void; readonly disabled: boolean }): ReactElement {
  const [line, setLine] = useState('')
  return (
    <form
      className="mt-2 flex flex-wrap items-center gap-2"
      onSubmit={(event) => {
        event.preventDefault()
        onAdd(line)
      }}
    >
      <input
        aria-label="An expectation"
        placeholder="coder asks destroy of 5000 rows on orders-db"
        maxLength={400}
        value={line}
        onChange={(event) => setLine(event.target.value)}
        className="h-8 min-w-48 flex-1 rounded-md border border-edge bg-card px-2.5 font-mono text-small placeholder:text-dim"
      />
      <Button type="submit" disabled={disabled || line.trim() === ''}>
        Expect it
      </Button>
    </form>
  )
}

function Propose({
  tried,
  text,
  busy,
  work,
  path,
}: {
  readonly tried: Tried | null
  readonly text: string
  readonly busy: boolean
  readonly work: (act: () => Promise<void>) => void
  readonly path: string
}): ReactElement {
  const queries = useQueryClient()
  const [said, setSaid] = useState<readonly string[]>([])
  const [proposed, setProposed] = useState<string | null>(null)
  const isReady = tried?.text === text && isProposable(tried.trial)
  const propose = (): void =>
    work(async () => {
      const answer = await post('/console/policy/propose', { text }, proposingShape)
      setSaid('lines' in answer ? answer.lines : [])
      setProposed(answer.outcome === 'proposed' ? text : null)
      await queries.invalidateQueries()
    })
  return (
    <>
      <Button disabled={busy || !isReady} onClick={propose}>
        Propose it
      </Button>
      <span className="text-small text-dim" role="status">
        {proposed === text ? (
          <>
            Proposed. Nothing changed yet:{' '}
            <a className="text-accent underline" href="/configuration">
              people accept it with a passkey
            </a>
            .
          </>
        ) : isReady ? (
          'It becomes a proposal; what is in force stays in force.'
        ) : (
          whyNot(tried, text, path)
        )}
      </span>
      {said.map((line) => (
        <p key={line} role="alert" className="w-full text-bad">
          <Shown text={line} most={600} />
        </p>
      ))}
    </>
  )
}

function isProposable(trial: TrialView): boolean {
  return trial.outcome === 'read' && trial.gives === 'wider' && trial.expectations.every(({ kept, holds }) => !kept || holds)
}

function whyNot(tried: Tried | null, text: string, path: string): ReactElement {
  if (tried === null || tried.text !== text) return <>Try it before it is proposed.</>
  if (tried.trial.outcome === 'mistakes') return <>It has mistakes.</>
  const unmet = tried.trial.expectations.filter(({ kept, holds }) => kept && !holds).length
  if (unmet > 0) return <>{formatAmount(unmet, 'expectation')} would not hold.</>
  return (
    <>
      Nothing to ask people for. Put it into <Shown text={path} most={200} /> and start the gate again.
    </>
  )
}
