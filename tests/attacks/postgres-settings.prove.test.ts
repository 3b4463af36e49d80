import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { useAttackedGate } from '../servers/attacked-gate.ts'
import { arrange } from '../servers/gate.ts'

/** Parameters of the application's own: where something in the database goes by one, setting it is like changing a label that policy reads. */
const caseShape = z.strictObject({ id: z.string(), why: z.string(), script: z.array(z.string()).min(1), passes: z.boolean() })
const cases = readFileSync(new URL('../cases/sql-settings.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => caseShape.parse(JSON.parse(line)))

const attacked = useAttackedGate({
  prepare: (postgres) =>
    arrange(
      postgres,
      `CREATE TABLE rented (tenant text, what text); INSERT INTO rented VALUES ('1', 'ours'), ('7', 'theirs');
       ALTER TABLE rented ENABLE ROW LEVEL SECURITY; ALTER TABLE rented FORCE ROW LEVEL SECURITY;
       CREATE POLICY of_tenant ON rented USING (tenant = COALESCE(NULLIF(current_setting('app.tenant', true), ''), '1'));
       CREATE FUNCTION who() RETURNS text STABLE LANGUAGE sql AS $$SELECT current_setting('app.login', true)$$;
       CREATE TABLE owned (owner text); ALTER TABLE owned ENABLE ROW LEVEL SECURITY; CREATE POLICY of_user ON owned USING (owner = who());
       CREATE TABLE plain (id serial PRIMARY KEY, what text);
       CREATE VIEW mine AS SELECT owner FROM owned WHERE owner = current_setting('app.viewer', true);
       CREATE TABLE written (author text DEFAULT current_setting('app.author', true), n int CHECK (n > 0 OR current_setting('app.checked', true) = 'off'));
       CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER stamped BEFORE INSERT ON written FOR EACH ROW WHEN (current_setting('app.quiet', true) IS NULL) EXECUTE FUNCTION stamp();
       CREATE TABLE arrivals (who text); CREATE TABLE papers (id int PRIMARY KEY, owner text);
       INSERT INTO papers VALUES (1, 'ours'), (2, 'theirs'); ALTER TABLE papers ENABLE ROW LEVEL SECURITY; ALTER TABLE papers FORCE ROW LEVEL SECURITY;
       CREATE POLICY of_owner ON papers USING (owner = COALESCE(NULLIF(current_setting('papers.owner', true), ''), 'ours'));
       CREATE FUNCTION arrive() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('papers.owner', NEW.who, false); RETURN NEW; END$$;
       CREATE TRIGGER arrived BEFORE INSERT ON arrivals FOR EACH ROW EXECUTE FUNCTION arrive();
       CREATE FUNCTION log_in(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN set_config('app.tenant', $1, false); END$$`,
    ),
  // Only who may do everything sets an unheard-of parameter in a definition.
  beforeGate: (postgres) =>
    postgres.query(`CREATE FUNCTION as_seven() RETURNS int STABLE LANGUAGE sql SET app.tenant = '7' AS 'SELECT 1'`),
})

test.each(cases)('$id, $why', async ({ script, passes }) => {
  const ran = await attacked.runAs('reader', [...script, 'ROLLBACK', 'SELECT what FROM rented'])
  const states = ran.slice(0, script.length).map(({ sqlState }) => sqlState)
  if (passes) expect(states).toEqual(script.map(() => '00000'))
  else expect(states.at(-1)).not.toBe('00000')
  expect(ran.at(-1)).toMatchObject({ sqlState: '00000', rows: [{ what: 'ours' }] })
})

test('whoever may do anything is asked too, and told what goes by it', async () => {
  const [ran] = await attacked.runAs('coder', ["SET app.tenant = '7'"])
  expect(ran?.sqlState).not.toBe('00000')
  expect(`${ran?.message} ${ran?.hint}`).toMatch(/request|approv/i)
})

const intentShape = z.object({ digest: z.string(), text: z.string() })

/** Of each time that the text was cleared, oldest first. */
function digestsOf(text: string): readonly string[] {
  return attacked.gate
    .events()
    .filter(({ type }) => type === 'intent')
    .map(({ data }) => intentShape.parse(data))
    .flatMap((intent) => (intent.text === text ? [intent.digest] : []))
}

test('a verdict is about the values of such parameters: approved under one, it does not fit another', async () => {
  const text = "INSERT INTO plain (what) VALUES ('bound')"
  const set = "SET shop.region = 'north'"
  await attacked.runAs('coder', [
    text,
    set,
    text,
    'BEGIN',
    "SELECT set_config('shop.region', 'south', true)",
    text,
    'ROLLBACK',
    text,
  ])
  await attacked.runAs('coder', [text, set, text])
  const [without, north, south, back, again, elsewhere, ...more] = digestsOf(text)
  expect(more).toEqual([])
  expect(new Set([without, north, south]).size).toBe(3)
  expect([back, again, elsewhere]).toEqual([north, without, north])
})

test('what is remembered under one value serves under no other', async () => {
  const text = 'SELECT count(*) FROM plain'
  const ran = await attacked.runAs('reader', [text, text, "SET shop.region = 'west'", text, text])
  expect(ran.map(({ sqlState }) => sqlState)).toEqual(['00000', '00000', '00000', '00000', '00000'])
  const statements = attacked.gate.events().filter(({ type, data }) => type === 'statement' && data['text'] === text)
  expect(new Set(statements.map(({ data }) => data['digest'])).size).toBe(2)
})

test('what was approved under one value does not fit another that a trigger set, which no setting of the session shows', async () => {
  const [arrives, grants] = ["INSERT INTO arrivals VALUES ('theirs')", 'GRANT UPDATE ON papers TO PUBLIC']
  await attacked.gate.person('ada')
  const [grace, linus] = [await attacked.gate.person('grace'), await attacked.gate.person('linus')]
  for (const statement of [grants, arrives]) {
    const [asked] = await attacked.runAs('coder', [statement])
    expect([statement, asked?.sqlState]).toEqual([statement, 'SP001'])
    const request = await attacked.gate.pendingRequest('coder')
    await grace.approve(request)
    // What can't be put back takes two.
    await linus.give(request, 'approve')
  }
  const [arrived, granted] = await attacked.runAs('coder', [arrives, grants])
  expect(arrived?.sqlState).toBe('00000')
  expect(granted?.sqlState).toBe('SP001')
  // Nobody used it up, and where nothing was set it is what it was.
  const [again] = await attacked.runAs('coder', [grants])
  expect(again?.sqlState).toBe('00000')
})

test('a session that sets too many of them goes no further', async () => {
  const sets = Array.from({ length: 65 }, (_, index) => `SELECT set_config('many.n${index}', 'x', false)`)
  const ran = await attacked.runAs('reader', [sets.join('; '), 'SELECT 1'])
  expect(ran.at(-1)?.message).toContain('more than 64 parameters')
})

test('a function that reads whatever it is asked for may read any of them', async () => {
  const [before] = await attacked.runAs('reader', ["SET shop.colour = 'red'"])
  expect(before?.sqlState).toBe('00000')
  const anything = `CREATE FUNCTION setting_of(text) RETURNS text STABLE LANGUAGE sql AS 'SELECT current_setting($1, true)'`
  await arrange(attacked.postgres, anything)
  const [after] = await attacked.runAs('reader', ["SET shop.colour = 'red'"])
  await arrange(attacked.postgres, 'DROP FUNCTION setting_of(text)')
  expect(after?.sqlState).not.toBe('00000')
})
