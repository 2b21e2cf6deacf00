// Single statements and scripts through @libsql/client: arguments, columns, counts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, failsWith, plain, publish, stock } from "./published_database.js";

test("positional arguments are counted as SQLite counts them", async (t) => {
  const client = connect(t, await publish(t));
  const rows = async (sql, args) => plain(await client.execute({ sql, args }));
  assert.deepEqual(await rows("SELECT ?, ?, ?", ["a", "b", "c"]), [["a", "b", "c"]]);
  assert.deepEqual(await rows("SELECT ?2, ?1, ?2", ["a", "b"]), [["b", "a", "b"]]);
  assert.deepEqual(await rows("SELECT ?1, ?3, ?1, ?2", ["a", "b", "c"]), [["a", "c", "a", "b"]]);
  assert.deepEqual(plain(await client.execute("SELECT ? || '!'", ["a"])), [["a!"]]);
});

test("named arguments are found with each prefix, given with it or without", async (t) => {
  const client = connect(t, await publish(t));
  for (const prefix of [":", "@", "$"]) {
    for (const name of ["a", `${prefix}a`]) {
      const found = await client.execute({ sql: `SELECT ${prefix}a, ${prefix}a`, args: { [name]: 7n } });
      assert.deepEqual(plain(found), [[7, 7]], `${prefix}a given as ${name}`);
    }
  }
  const mixed = await client.execute({ sql: "SELECT :a, @b, $c", args: { a: "x", "@b": "y", c: "z" } });
  assert.deepEqual(plain(mixed), [["x", "y", "z"]]);
});

test("arguments that are missing or too many are refused", async (t) => {
  const client = connect(t, await publish(t));
  for (const [sql, args] of [
    ["SELECT ?, ?", ["a"]],
    ["SELECT ?", ["a", "b"]],
    ["SELECT :a, :b", { a: 1 }],
    ["SELECT :a", { a: 1, b: 2 }],
    ["SELECT 1", ["a"]],
  ]) {
    await assert.rejects(client.execute({ sql, args }), failsWith("ARGS_INVALID"), sql);
  }
});

test("columns of the same name are all there, in order", async (t) => {
  const client = connect(t, await publish(t, `
    CREATE TABLE a (id INTEGER, name TEXT); INSERT INTO a VALUES (1, 'one');
    CREATE TABLE b (id INTEGER, name TEXT); INSERT INTO b VALUES (2, 'two');`));
  const found = await client.execute("SELECT a.*, b.* FROM a, b");
  assert.deepEqual(found.columns, ["id", "name", "id", "name"]);
  assert.deepEqual(found.columnTypes, ["INTEGER", "TEXT", "INTEGER", "TEXT"]);
  assert.deepEqual(plain(found), [[1, "one", 2, "two"]]);
});

test("columns are named and typed as SQLite has them", async (t) => {
  const client = connect(t, await publish(t, 'CREATE TABLE t (a VARCHAR(10), "b c" DOUBLE, d);'));
  const found = await client.execute('SELECT a, "b c", d, a AS "", 1+1, count(*) AS 件数 FROM t');
  assert.deepEqual(found.columns, ["a", "b c", "d", "", "1+1", "件数"]);
  assert.deepEqual(found.columnTypes, ["VARCHAR(10)", "DOUBLE", "", "VARCHAR(10)", "", ""]);
  const empty = await client.execute("SELECT a FROM t");
  assert.deepEqual([empty.columns, empty.rows.length], [["a"], 0]);
});

test("writes tell the rows they changed and the last rowid", async (t) => {
  const client = connect(t, await publish(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a);"));
  const counts = ({ rowsAffected, lastInsertRowid }) => [rowsAffected, lastInsertRowid];
  assert.deepEqual(counts(await client.execute("INSERT INTO t (a) VALUES (1), (2), (3)")), [3, 3n]);
  assert.deepEqual(counts(await client.execute("INSERT INTO t VALUES (9223372036854775807, 4)")), [1, 2n ** 63n - 1n]);
  assert.equal((await client.execute("UPDATE t SET a = a + 1 WHERE a < 3")).rowsAffected, 2);
  assert.equal((await client.execute("DELETE FROM t WHERE a = 99")).rowsAffected, 0);
  assert.equal((await client.execute("DELETE FROM t")).rowsAffected, 4);
  assert.equal((await client.execute("SELECT 1")).rowsAffected, 0);
  assert.equal((await client.execute("CREATE TABLE u (a)")).rowsAffected, 0);
});

test("RETURNING brings rows and counts, and the write is done", async (t) => {
  const published = await publish(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE);");
  const client = connect(t, published);
  const inserted = await client.execute("INSERT INTO t (a) VALUES ('x'), ('y') RETURNING id, a AS letter");
  assert.deepEqual(inserted.columns, ["id", "letter"]);
  assert.deepEqual(plain(inserted), [[1, "x"], [2, "y"]]);
  assert.deepEqual([inserted.rowsAffected, inserted.lastInsertRowid], [2, 2n]);
  const upserted = await client.execute("INSERT INTO t (a) VALUES ('x') ON CONFLICT DO UPDATE SET a = 'z' RETURNING id, a");
  assert.deepEqual(plain(upserted), [[1, "z"]]);
  assert.deepEqual(plain(await client.execute("DELETE FROM t RETURNING id")), [[1], [2]]);
  assert.equal(await stock(published.file, "SELECT count(*) FROM t"), "0");
});

test("comments and semicolons around a statement do no harm", async (t) => {
  const client = connect(t, await publish(t));
  for (const sql of ["SELECT 1;", "SELECT 1; -- end", "-- begin\nSELECT 1", "/* a;b */ SELECT 1 /* c */;;", "\r\n;SELECT 1;\r\n"]) {
    assert.deepEqual(plain(await client.execute(sql)), [[1]], sql);
  }
});

test("executeMultiple runs a script with triggers, CRLF and comments", async (t) => {
  const published = await publish(t);
  const client = connect(t, published);
  await client.executeMultiple(
    [
      "-- a script of another system",
      "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);",
      "CREATE TABLE log (what TEXT);",
      "CREATE TRIGGER t_insert AFTER INSERT ON t BEGIN",
      "  INSERT INTO log VALUES (CASE WHEN new.a = ';' THEN 'semicolon' ELSE new.a END);",
      "  UPDATE t SET a = upper(a) WHERE id = new.id;",
      "END;",
      "INSERT INTO t (a) VALUES (';'), ('it''s; here');",
      "SELECT * FROM t; /* rows of a script go nowhere */",
      "-- the end",
    ].join("\r\n"),
  );
  assert.equal(await stock(published.file, "SELECT group_concat(what, '|') FROM log"), "semicolon|it's; here");
  assert.equal(await stock(published.file, "SELECT group_concat(a, '|') FROM t"), ";|IT'S; HERE");
  await client.executeMultiple("");
  await client.executeMultiple("-- nothing\r\n;;");
});

test("executeMultiple ends at the first error, and its own open transaction with it", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a UNIQUE);");
  const client = connect(t, published);
  await assert.rejects(
    client.executeMultiple("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);"),
    failsWith("SQLITE_CONSTRAINT"),
  );
  await assert.rejects(
    client.executeMultiple("BEGIN; INSERT INTO t VALUES (3); SELECT no_column; COMMIT;"),
    failsWith("SQL_INPUT_ERROR"),
  );
  assert.equal(await stock(published.file, "SELECT group_concat(a) FROM t"), "1");
});

test("full-text tables, JSON and date functions work", async (t) => {
  const published = await publish(t);
  const client = connect(t, published);
  await client.executeMultiple(`
    CREATE VIRTUAL TABLE notes USING fts5(body);
    INSERT INTO notes VALUES ('the quick brown fox'), ('the lazy dog');`);
  assert.deepEqual(plain(await client.execute("SELECT highlight(notes, 0, '[', ']') FROM notes('lazy')")), [
    ["the [lazy] dog"],
  ]);
  assert.deepEqual(plain(await client.execute("SELECT json_extract('{\"a\":[1,2]}', '$.a[1]'), date('2026-11-25', '+7 days')")), [
    [2, "2026-12-02"],
  ]);
});

test("a result prints as JSON", async (t) => {
  const client = connect(t, await publish(t));
  const found = await client.execute("SELECT 1 AS a, x'00ff' AS b");
  assert.deepEqual(JSON.parse(JSON.stringify(found)), {
    columns: ["a", "b"],
    columnTypes: ["", ""],
    rows: [[1, "AP8="]],
    rowsAffected: 0,
    lastInsertRowid: "0",
  });
});
