import { projectRoot } from './source-tree.ts'
import { findStories, findStrayPatches, tryMutant } from './story-mutants.ts'

// `npm run stories:mutants [-- NUMBER…]`: takes each promise's defence away and requires that its story fails by assertion.
const chosen = process.argv.slice(2).map(Number)
const stories = findStories(projectRoot).filter((story) => chosen.length === 0 || chosen.includes(story.number))
if (stories.length === 0) {
  console.log('there is no such story under tests/stories')
  process.exit(1)
}
let wrong = 0
for (const patch of chosen.length === 0 ? findStrayPatches(projectRoot) : []) {
  wrong += 1
  console.log(`FAIL ${patch} belongs to no story`)
}
// One after another: each starts servers, and stories measure time.
for (const story of stories) {
  const { killed, what } = await tryMutant(projectRoot, story)
  if (!killed) wrong += 1
  console.log(`${killed ? 'ok  ' : 'FAIL'} story ${story.number}: ${what}`)
}
console.log(`${stories.length} stories, ${wrong} wrong`)
process.exit(wrong === 0 ? 0 : 1)
