import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { confirmInvitation, makeHttpPerson, type HttpPerson } from '../fakes/http-person.ts'
import { startGate, type TestGate } from '../servers/gate.ts'
import type { PostgresServer } from '../servers/postgres.ts'
import { checksums, eventsOf, readRequest, requestOf } from './evidence.ts'
import { drop, prepareNotes, tables } from './notes.ts'
import { openPsql, type Psql } from './psql.ts'

/** The part of promise 5 about an owner who enrols themselves again under a second name, to approve as that one. */
export function testSecondSelf(postgres: () => PostgresServer): void {
  describe('Promise 5 against an owner who would be two people, at isolation level 2: from the third person on nobody lets people in alone', () => {
    let gate: TestGate
    let coder: Psql
    let ada: HttpPerson
    let bob: HttpPerson
    let request: string
    let before: Readonly<Record<string, string>>
    /** Made while ada was alone, and there was nobody to ask. */
    let early: string
    let late: string
    const waiting = /This invitation waits: somebody enrolled, other than who made it/
    const read = (): Promise<Readonly<Record<string, string>>> => checksums(postgres(), tables, 'twofold')
    const adasOtherKey = (): HttpPerson => makeHttpPerson('a colleague', gate.controlUrl)

    beforeAll(async () => {
      await postgres().query('CREATE DATABASE twofold')
      const may = ['any orders-db']
      const agents = { coder: { owner: 'ada', may }, orphan: { owner: 'team-seven', may } }
      gate = await startGate({ postgres: postgres(), agents, wait: '0ms', upstreams: { 'orders-db': { database: 'twofold' } } })
      await prepareNotes(postgres(), 'twofold')
      ada = await gate.person('ada')
      early = await ada.invite()
      bob = await gate.person('bob')
      late = await ada.invite()
      coder = await openPsql(gate, 'coder')
      request = requestOf(await coder.run(drop))
      before = await read()
    })

    afterAll(() => gate?.stop())

    it('neither an invitation of hers enrols her other key, nor her own confirmation of it, nor a restart', async () => {
      for (const link of [early, late]) {
        await expect(adasOtherKey().enrol(link)).rejects.toThrow(waiting)
        expect(await confirmInvitation(ada, link)).toMatchObject({ status: 403 })
      }
      await gate.halt()
      await gate.start()
      for (const person of [ada, bob]) await person.signIn()
      for (const link of [early, late]) await expect(adasOtherKey().enrol(link)).rejects.toThrow(waiting)
      expect(await ada.give(request, 'approve')).toMatchObject({ status: 409 })
      expect(eventsOf(gate, 'person.enrolled').map(({ data }) => data['person'])).toEqual(['ada', 'bob'])
      expect(await readRequest(gate, request)).toMatchObject({ state: 'pending', approvals: [] })
      expect(await read()).toEqual(before)
    })

    it('nobody approves for an owner whom the gate cannot tell from an approver, and it says so from the start', async () => {
      const said = 'team-seven owns orphan, and nobody is enrolled under that name'
      const { warnings } = await gate.get('/api/v1/status', z.object({ warnings: z.array(z.string()) }))
      expect(warnings.join('\n')).toContain(said)
      expect(readFileSync(join(gate.directory, 'logs', 'gate.log'), 'utf8')).toContain(said)
      const orphans = requestOf(await (await openPsql(gate, 'orphan')).run(drop))
      for (const person of [ada, bob]) expect(await person.give(orphans, 'approve')).toMatchObject({ status: 403 })
      expect(await readRequest(gate, orphans)).toMatchObject({ state: 'pending', approvals: [] })
      expect(await bob.give(orphans, 'reject')).toMatchObject({ status: 200 })
    })

    it('a third who was confirmed by another is enrolled, and approves', async () => {
      expect(await confirmInvitation(bob, late)).toMatchObject({ status: 200 })
      const carol = makeHttpPerson('carol', gate.controlUrl)
      await carol.enrol(late)
      expect(eventsOf(gate, 'person.enrolled').at(-1)?.data).toMatchObject({ invitedBy: 'ada', confirmedBy: 'bob' })
      await expect(adasOtherKey().enrol(early)).rejects.toThrow(waiting)
      await carol.approve(request)
      expect(await coder.run(drop)).toMatchObject({ sqlState: '00000' })
      expect(await read()).toEqual({ ...before, notes: 'not there' })
    })
  })
}
