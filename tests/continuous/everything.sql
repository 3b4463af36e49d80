CREATE TYPE mood AS ENUM ('calm', 'bad');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE TABLE every_type AS SELECT
  1::int2 AS t_int2, 2::int4 AS t_int4, 3::int8 AS t_int8, 4.5::float4 AS t_float4, 'NaN'::float8 AS t_float8, 12345678901234567890.123456789::numeric AS t_numeric,
  'text'::text AS t_text, 'varying'::varchar(20) AS t_varchar, 'char'::char(10) AS t_char, 'n'::"char" AS t_one, 'name'::name AS t_name, '\x00ff'::bytea AS t_bytea,
  true AS t_bool, '2026-01-01'::date AS t_date, '12:34:56.789'::time AS t_time, '12:34:56+02'::timetz AS t_timetz, '2026-01-01 12:00'::timestamp AS t_timestamp,
  'infinity'::timestamptz AS t_timestamptz, '1 year 2 days'::interval AS t_interval, '12.34'::money AS t_money, '{"a": [1, null]}'::json AS t_json,
  '{"b": {"c": 1}}'::jsonb AS t_jsonb, '$.a[*]'::jsonpath AS t_jsonpath, '<a>b</a>'::xml AS t_xml, gen_random_uuid() AS t_uuid, '10.0.0.1/8'::inet AS t_inet,
  '10.0.0.0/8'::cidr AS t_cidr, '08:00:2b:01:02:03'::macaddr AS t_macaddr, '08:00:2b:01:02:03:04:05'::macaddr8 AS t_macaddr8, B'1010'::bit(4) AS t_bit,
  B'10101'::varbit AS t_varbit, '(1,2)'::point AS t_point, '{1,2,3}'::line AS t_line, '[(1,2),(3,4)]'::lseg AS t_lseg, '((1,2),(3,4))'::box AS t_box,
  '[(1,2),(3,4)]'::path AS t_path, '((1,2),(3,4),(5,6))'::polygon AS t_polygon, '<(1,2),3>'::circle AS t_circle, 'a fat cat'::tsvector AS t_tsvector,
  'fat & cat'::tsquery AS t_tsquery, '[1,5)'::int4range AS t_int4range, '[1,5)'::int8range AS t_int8range, '[1.5,2)'::numrange AS t_numrange,
  '[2026-01-01,2026-02-01)'::daterange AS t_daterange, '[2026-01-01,)'::tsrange AS t_tsrange, '[2026-01-01,)'::tstzrange AS t_tstzrange,
  '{[1,2),[4,5)}'::int4multirange AS t_multirange, '16/B374D848'::pg_lsn AS t_lsn, '10:20:10,14'::pg_snapshot AS t_snapshot, '1'::xid AS t_xid, '2'::xid8 AS t_xid8,
  '(0,1)'::tid AS t_tid, '3'::cid AS t_cid, 1::oid AS t_oid, 'pg_class'::regclass AS t_regclass, 'int4'::regtype AS t_regtype, 'public'::regnamespace AS t_regnamespace,
  'calm'::mood AS t_enum, ROW(1, 'x')::pair AS t_composite, 5::positive AS t_domain, '[1,2]'::span AS t_span, ARRAY[ARRAY[1, 2], ARRAY[3, NULL]] AS t_array,
  ARRAY['calm', 'bad']::mood[] AS t_enums, '1 2'::int2vector AS t_int2vector, '1 2'::oidvector AS t_oidvector, NULL::text AS t_null;
INSERT INTO every_type (t_text) SELECT repeat(md5(n::text), 200) FROM generate_series(1, 300) n;

CREATE TABLE by_range (id int, at date, note text) PARTITION BY RANGE (at);
CREATE TABLE by_range_1 PARTITION OF by_range FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE by_range_2 PARTITION OF by_range FOR VALUES FROM ('2026-07-01') TO ('2027-01-01') PARTITION BY HASH (id);
CREATE TABLE by_range_2a PARTITION OF by_range_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_range_2b PARTITION OF by_range_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE by_range_rest PARTITION OF by_range DEFAULT;
INSERT INTO by_range SELECT n, date '2026-01-01' + n, n::text FROM generate_series(1, 500) n;
CREATE TABLE by_list (kind text, n int) PARTITION BY LIST (kind);
CREATE TABLE by_list_a PARTITION OF by_list FOR VALUES IN ('a', 'b');
CREATE TABLE by_list_null PARTITION OF by_list FOR VALUES IN (NULL);
INSERT INTO by_list VALUES ('a', 1), ('b', 2), (NULL, 3);
CREATE TABLE parent (i int); CREATE TABLE child (j int) INHERITS (parent); INSERT INTO child VALUES (1, 2); INSERT INTO parent VALUES (3);

CREATE SEQUENCE counted START 7 INCREMENT 3 CACHE 5; SELECT nextval('counted');
CREATE TABLE made (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price numeric, total numeric GENERATED ALWAYS AS (price * 1.19) STORED, old serial);
INSERT INTO made (price) SELECT n FROM generate_series(1, 200) n;
CREATE TABLE refers (id int PRIMARY KEY, made bigint REFERENCES made ON DELETE CASCADE, EXCLUDE USING btree (id WITH =)); INSERT INTO refers SELECT n, n FROM generate_series(1, 50) n;
CREATE INDEX ON made USING brin (price); CREATE INDEX ON every_type USING gin (t_jsonb); CREATE INDEX ON every_type USING gist (t_point); CREATE INDEX ON refers USING hash (made);
CREATE MATERIALIZED VIEW sums AS SELECT kind, sum(n) FROM by_list GROUP BY 1;
CREATE VIEW seen AS SELECT id FROM made;
SELECT lo_from_bytea(0, convert_to(repeat('large object ' || n, 5000), 'UTF8')) FROM generate_series(1, 20) n;
CREATE TABLE secured (owner text, what text); ALTER TABLE secured ENABLE ROW LEVEL SECURITY; ALTER TABLE secured FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (owner = current_user); INSERT INTO secured VALUES ('ada', 'hers'), ('ben', 'his');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note = 'stamped'; RETURN NEW; END $$;
CREATE TRIGGER stamped BEFORE UPDATE ON by_range_1 FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE STATISTICS correlated ON kind, n FROM by_list; CREATE PUBLICATION everything FOR ALL TABLES; COMMENT ON TABLE made IS 'a comment';
DO $$ BEGIN FOR n IN 1..1000 LOOP
  EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY, text text)', n); EXECUTE format('INSERT INTO many_%s SELECT i, md5((i * %s)::text) FROM generate_series(1, 20) i', n, n);
END LOOP; END $$;
CREATE TABLE doomed AS SELECT n, md5(n::text) AS text FROM generate_series(1, 10000) n;
CREATE TABLE busy (id int PRIMARY KEY, n int); INSERT INTO busy SELECT i, 0 FROM generate_series(1, 500) i;
