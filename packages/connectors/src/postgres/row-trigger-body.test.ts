import { describe, expect, it } from 'vitest'
import { readTriggerBody, readTriggerCondition } from './row-trigger-body.ts'

function wrap(statements: string): string {
  return `BEGIN\n${statements}\nEND;`
}

describe('a trigger body that only touches its row', () => {
  it.each([
    ['updated_at', 'NEW.updated_at = now(); RETURN NEW;', ['updated_at'], false],
    ['a quoted column', 'new."updatedAt" := CURRENT_TIMESTAMP; -- when\nRETURN new;', ['updatedAt'], false],
    [
      'a condition',
      `IF NEW IS DISTINCT FROM OLD THEN NEW.version := OLD.version + 1; ELSIF NEW.x IS NULL THEN NULL; ELSE NEW.t = 'it''s'; END IF; RETURN NEW;`,
      ['version', 't'],
      false,
    ],
    [
      'a guard',
      `IF OLD.locked THEN RAISE EXCEPTION 'row % is locked', OLD.id USING ERRCODE = '55000'; END IF; RETURN OLD;`,
      [],
      false,
    ],
    ['a skip', `IF NEW.a = OLD.a THEN RETURN NULL; END IF; RETURN NEW;`, [], true],
    [
      'a case',
      `NEW.slug := CASE WHEN NEW.slug IS NULL THEN lower(coalesce(NEW.title, '')) ELSE NEW.slug END; RETURN NEW;`,
      ['slug'],
      false,
    ],
    ['a cast', `NEW.total := (NEW.price * NEW.quantity)::numeric(10, 2); RETURN NEW;`, ['total'], false],
    ['json', `NEW.doc := NEW.doc || jsonb_build_object('at', clock_timestamp()); RETURN NEW;`, ['doc'], false],
  ])('%s', (_, statements, assigned, skips) => {
    expect(readTriggerBody(wrap(statements))).toMatchObject({ ok: true, assigned, skips })
  })

  it.each([
    ['a row', 'INSERT INTO audit VALUES (OLD.id, now()); RETURN OLD;', [{ schema: null, name: 'audit' }]],
    [
      'columns',
      `INSERT INTO log."Audit" (id, "at", doc) VALUES (OLD.id, DEFAULT, to_jsonb(OLD)); RETURN OLD;`,
      [{ schema: 'log', name: 'Audit' }],
    ],
    [
      'a copy of the row',
      'INSERT INTO h SELECT OLD.*, CURRENT_USER; INSERT INTO h SELECT NEW.*; RETURN NULL;',
      [
        { schema: null, name: 'h' },
        { schema: null, name: 'h' },
      ],
    ],
  ])('adds %s', (_, statements, inserts) => {
    expect(readTriggerBody(wrap(statements))).toMatchObject({ ok: true, inserts })
  })

  it('names all that it calls', () => {
    expect(readTriggerBody(wrap(`NEW.a := pg_catalog.lower(f(g(NEW.b)))::citext <=> 'x'; RETURN NEW;`))).toMatchObject({
      names: { functions: ['lower', 'f', 'g'], types: ['citext'], operators: ['<=>'] },
    })
  })
})

describe('a trigger body that may reach further', () => {
  it.each([
    ['rows of others', `DELETE FROM audit WHERE id = OLD.id; RETURN OLD;`],
    ['rows that are there', `INSERT INTO audit VALUES (OLD.id) ON CONFLICT (id) DO UPDATE SET n = 0; RETURN OLD;`],
    ['rows out of a table', `INSERT INTO audit SELECT id FROM orders; RETURN OLD;`],
    ['rows out of a query', `INSERT INTO audit VALUES ((SELECT effect())); RETURN OLD;`],
    ['rows out of TABLE', `INSERT INTO audit TABLE orders; RETURN OLD;`],
    ['rows that it returns', `INSERT INTO audit VALUES (1) RETURNING id INTO NEW.id; RETURN NEW;`],
    ['rows of its default', `INSERT INTO audit DEFAULT VALUES; RETURN OLD;`],
    ['rows of another database', `INSERT INTO a.b.c VALUES (1); RETURN OLD;`],
    ['rows of its own table', `UPDATE orders SET n = 0; RETURN NEW;`],
    ['TRUNCATE, which resets the count', 'TRUNCATE t.audit; RETURN OLD;'],
    ['DDL', 'DROP TABLE t.other; RETURN OLD;'],
    ['dynamic SQL', `EXECUTE 'DELETE FROM x'; RETURN OLD;`],
    ['PERFORM', `PERFORM dblink_exec('x', 'y'); RETURN OLD;`],
    ['NOTIFY', 'NOTIFY channel; RETURN OLD;'],
    ['a query in an expression', 'NEW.a := (SELECT effect()); RETURN NEW;'],
    ['a query without parentheses', 'NEW.a := 1 FROM old; RETURN NEW;'],
    ['a query by UNION', 'NEW.a := 1 UNION SELECT 2; RETURN NEW;'],
    ['a table by its name', 'NEW.a := 1 FROM public.orders; RETURN NEW;'],
    ['an assignment of the whole row', 'NEW := f(NEW); RETURN NEW;'],
    ['another row returned', 'RETURN f(NEW);'],
    ['a function by a dot', 'NEW.a := NEW.b.effect; RETURN NEW;'],
    ['a function of a schema', 'NEW.a := public.now(); RETURN NEW;'],
    ['a quoted function', 'NEW.a := "Now"(); RETURN NEW;'],
    ['a quoted type', `NEW.a := '1'::"Effect"; RETURN NEW;`],
    ['a type of a schema', `NEW.a := '1'::public.effect; RETURN NEW;`],
    ['a type before its text', `NEW.a := effect '1'; RETURN NEW;`],
    ['an operator of a schema', 'NEW.a := 1 OPERATOR(public.+) 2; RETURN NEW;'],
    ['a declaration', 'DECLARE x int := effect(); BEGIN RETURN NEW; END;'],
    ['an option', '#variable_conflict use_column'],
    ['an inner block', 'BEGIN RETURN NEW; END;'],
    ['a loop', 'LOOP NEW.a := 1; END LOOP; RETURN NEW;'],
    ['COMMIT', 'COMMIT; RETURN NEW;'],
    ['a dollar quote', 'NEW.a := $$x$$; RETURN NEW;'],
    ['an escape', `NEW.a := 'a\\''; DROP TABLE x; --'; RETURN NEW;`],
    ['a string of its own kind', `NEW.a := U&'x'; RETURN NEW;`],
    ['nested comments', '/* /* */ DROP TABLE x; */ RETURN NEW;'],
    ['an operator that begins a comment', 'NEW.a := 1 +/* x */ 2; RETURN NEW;'],
    ['letters of other alphabets', 'NEW.ä := 1; RETURN NEW;'],
    ['something after the end', 'RETURN NEW; END; DROP TABLE x; BEGIN'],
    ['a NUL', 'NEW.a := 1;\0 RETURN NEW;'],
    ['nothing', ''.padEnd(20_000, ' ')],
    ['depth', `${'IF true THEN '.repeat(50)}NULL;${' END IF;'.repeat(50)} RETURN NEW;`],
    ['half a statement', 'NEW.a := 1'],
  ])('%s', (_, statements) => {
    const source = /^(DECLARE|#)/.test(statements) ? statements : wrap(statements)
    expect(readTriggerBody(source)).toMatchObject({ ok: false, why: expect.stringMatching(/\w/) })
  })
})

describe('a trigger condition', () => {
  const trigger = (when: string): string => `CREATE TRIGGER a BEFORE UPDATE ON t.a FOR EACH ROW${when} EXECUTE FUNCTION t.f()`
  it('names what it calls', () => {
    expect(readTriggerCondition(trigger(''))).toEqual({ ok: true, names: { functions: [], types: [], operators: [] } })
    expect(readTriggerCondition(trigger(' WHEN ((old.* IS DISTINCT FROM new.*))'))).toMatchObject({ ok: true })
    expect(readTriggerCondition(trigger(` WHEN ((pg_notify('a'::text, (old.v)::text) IS NULL))`))).toMatchObject({
      names: { functions: ['pg_notify'], types: ['text'] },
    })
  })
  it('is not read when a name looks like it', () => {
    expect(readTriggerCondition(trigger(' WHEN (x; y)')).ok).toBe(false)
    expect(readTriggerCondition('CREATE TRIGGER "a WHEN b" BEFORE UPDATE ON t.a FOR EACH ROW EXECUTE FUNCTION t.f()').ok).toBe(
      false,
    )
  })
})
