/**
 * What the gate refuses where the server would run it, each with the reason. The answer of such a scenario has an ERROR 0A000 that says what to send
 * instead; the suite fails when one of them is answered as by the server, so that this list can only shrink.
 */
export const refusedByGate: ReadonlyMap<string, string> = new Map([])
