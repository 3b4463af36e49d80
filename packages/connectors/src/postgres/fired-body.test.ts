import { afterAll, describe, expect, it } from 'vitest'
import { closeParsers } from './describe.ts'
import { describeFired } from './fired-body.ts'

afterAll(closeParsers)

async function changes(source: string, eachRow = true): Promise<readonly string[]> {
  const operations = await describeFired(source, eachRow)
  return operations.filter(({ impact }) => impact.kind !== 'read').map(({ action, impact }) => `${action} ${impact.kind}`)
}

describe('what the body of a trigger does', () => {
  it.each([
    ['stamps', 'BEGIN NEW.at := now(); new.n = 5; RETURN NEW; END;', []],
    ['ends in a comment', 'BEGIN RETURN NEW; -- done\nEND -- end', []],
    ['ends in a comment after the semicolon', 'BEGIN RETURN NEW; END; -- end', []],
    ['has a label and variables', '<<a>> DECLARE n int; BEGIN n := NEW.n; RETURN NEW; END a;', []],
    ['adds a row', "BEGIN INSERT INTO audit VALUES (NEW.id, 'DELETE FROM users'); RETURN NULL; END", ['postgres.insert write']],
    ['tells', "BEGIN PERFORM pg_notify('a', NEW.id::text); RETURN NULL; END", ['postgres.call_function write']],
    ['changes one row', 'BEGIN UPDATE stock SET n = n - NEW.n WHERE id = NEW.item; RETURN NULL; END', ['postgres.update write']],
    ['changes all rows', 'BEGIN UPDATE stock SET n = 0; RETURN NULL; END', ['postgres.update destroy']],
    [
      'changes rows round by round',
      'BEGIN FOR i IN 1..9 LOOP UPDATE stock SET n = 0 WHERE id = NEW.id + i; END LOOP; RETURN NULL; END',
      ['postgres.update destroy'],
    ],
    ['deletes', 'BEGIN DELETE FROM orders WHERE id = OLD.id; RETURN OLD; END', ['postgres.delete destroy']],
    ['runs text', "BEGIN EXECUTE 'DELETE FROM ' || NEW.name; RETURN NULL; END", ['postgres.execute_dynamic unknown']],
    ['calls', 'BEGIN PERFORM purge(NEW.id); RETURN NULL; END', ['postgres.select unknown']],
    [
      'lets a column win over a variable',
      '#variable_conflict use_column\nBEGIN UPDATE stock SET n = 0 WHERE id = NEW.id; RETURN NULL; END',
      ['postgres.routine unknown'],
    ],
    ['closes the block around it', 'BEGIN RETURN NULL; END; END; DELETE FROM orders; BEGIN', ['postgres.routine unknown']],
    ['closes the text around it', 'BEGIN RETURN NULL; END $sallyport0$; DROP TABLE orders; --', ['postgres.routine unknown']],
  ])('%s', async (_name, source, expected) => {
    expect(await changes(source)).toEqual(expected)
  })

  it('takes a transition table called new for what it is', async () => {
    expect(await changes('BEGIN UPDATE stock SET n = 0 FROM new WHERE stock.id = new.id; RETURN NULL; END', false)).toEqual([
      'postgres.update destroy',
    ])
  })
})
