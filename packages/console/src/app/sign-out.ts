import { post, saidShape } from './api.ts'

export async function signOut(): Promise<void> {
  await post('/sign-out', {}, saidShape)
  location.assign('/sign-in')
}
