/** What both databases hold before the first scenario. */
export const fixture = `
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), note text);
INSERT INTO items VALUES (1, 'anvil', 9.50, NULL), (2, 'bell', 3.25, ''), (3, 'crate', 12.00, 'big'), (4, 'drum', NULL, 'loud'), (5, 'ear', 0.01, 'é');
CREATE TABLE changed (id int PRIMARY KEY, value text DEFAULT 'none');
CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY, value int CHECK (value < 100));
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE copied (a int, b text, c timestamp);
CREATE TABLE loud (id int);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row % comes', NEW.id; RETURN NEW; END $$;
CREATE TRIGGER shouts BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION shout();
CREATE FUNCTION tell(words text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
  RAISE NOTICE '%', words USING DETAIL = 'the detail', HINT = 'the hint'; RETURN words; END $$;
CREATE FUNCTION fail_with(state text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'failed as told' USING ERRCODE = state, DETAIL = 'the detail', HINT = 'the hint',
    SCHEMA = 's', TABLE = 't', COLUMN = 'c', DATATYPE = 'd', CONSTRAINT = 'k'; END $$;
CREATE FUNCTION rows_of(amount int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, amount)';
CREATE PROCEDURE add_changed(first int) LANGUAGE sql AS 'INSERT INTO changed VALUES (first, ''called'')';
CREATE PROCEDURE in_and_out(a int, INOUT b int) LANGUAGE plpgsql AS $$ BEGIN b := a + b; END $$;
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (x int, y text);
CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 5;
CREATE SEQUENCE numbers;
`
