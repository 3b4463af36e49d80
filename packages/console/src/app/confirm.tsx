import { AlertDialog } from '@base-ui/react/alert-dialog'
import { type KeyboardEvent, type ReactElement, useRef, useState } from 'react'
import { explain, post, saidShape } from './api.ts'
import type { Killing } from './killing.ts'
import { Button, Key } from './parts.tsx'
import { Shown } from './text.tsx'

/** Asks once more before something is stopped. Opened with the question, so that what is asked cannot change under the hand. */
export default function ConfirmKill({
  killing,
  onClose,
}: {
  readonly killing: Killing
  readonly onClose: (said: string | null) => void
}): ReactElement {
  const [busy, setBusy] = useState(false)
  const [failed, setFailed] = useState<string | null>(null)
  const sure = useRef<HTMLButtonElement>(null)
  // A key that is held down since the question was asked does not answer it.
  const ignoreHeld = (event: KeyboardEvent): void => {
    if (event.repeat) event.preventDefault()
  }
  const stop = async (): Promise<void> => {
    setBusy(true)
    setFailed(null)
    try {
      const said = await post('/kill', killing.scope, saidShape)
      onClose(said.message ?? 'Stopped.')
    } catch (error) {
      setFailed(explain(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <AlertDialog.Root open onOpenChange={(open) => (open ? undefined : onClose(null))}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="fixed inset-0 z-40 bg-black/50" />
        <AlertDialog.Popup
          initialFocus={sure}
          onKeyDown={ignoreHeld}
          className="fixed top-[18vh] left-1/2 z-50 w-[min(30rem,calc(100vw-2rem))] -translate-x-1/2 rounded-xl border border-line bg-card p-5 shadow-2xl"
        >
          <AlertDialog.Title className="text-lead font-semibold">
            Stop <Shown text={killing.name} most={120} />?
          </AlertDialog.Title>
          <AlertDialog.Description className="mt-1.5 text-dim">
            What runs is cancelled and nothing gets through any more, at once. It stays so until somebody releases it with a
            passkey.
          </AlertDialog.Description>
          {failed === null ? null : (
            <p role="alert" className="mt-3 text-small font-medium text-bad">
              {failed}
            </p>
          )}
          <div className="mt-5 flex justify-end gap-2">
            <AlertDialog.Close
              render={
                <Button>
                  Cancel <Key>Esc</Key>
                </Button>
              }
            />
            <Button ref={sure} look="kill" disabled={busy} onClick={() => void stop()}>
              <span aria-hidden="true">■</span> Stop now <Key onFill>Enter</Key>
            </Button>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
