/** Whether a key that is pressed now is meant for the page: nobody types, and no dialog waits for an answer. */
export function isForPage(event: KeyboardEvent): boolean {
  if (event.metaKey || event.ctrlKey || event.altKey || event.repeat) return false
  const target = event.target
  if (target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)))
    return false
  return document.querySelector('[role=dialog],[role=alertdialog]') === null
}
