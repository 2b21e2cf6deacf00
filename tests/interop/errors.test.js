// Errors as users of @libsql/client meet them, and a server that goes on after each.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, failsWith, plain, publish, stock } from "./published_database.js";

/** Each statement ends with its code and message, and the next one is served. */
async function refuses(client, code, statements) {
  for (const [sql, message] of statements) {
    await assert.rejects(client.execute(sql), failsWith(code, message), sql);
    assert.deepEqual(plain(await client.execute("SELECT 1")), [[1]]);
  }
}

test("constraints are named", async (t) => {
  const published = await publish(t, `
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 1, c CHECK (c > 0),
                    p INTEGER REFERENCES parent);
    CREATE TABLE strict_t (i INTEGER) STRICT;
    CREATE TRIGGER t_no BEFORE DELETE ON t BEGIN SELECT raise(ABORT, 'stays here'); END;
    INSERT INTO t (id, u) VALUES (1, 'x');`);
  await refuses(connect(t, published), "SQLITE_CONSTRAINT", [
    ["INSERT INTO t (id) VALUES (1)", /UNIQUE constraint failed: t\.id/],
    ["INSERT INTO t (u) VALUES ('x')", /UNIQUE constraint failed: t\.u/],
    ["INSERT INTO t (n) VALUES (NULL)", /NOT NULL constraint failed: t\.n/],
    ["INSERT INTO t (c) VALUES (0)", /CHECK constraint failed: c > 0/],
    ["INSERT INTO t (p) VALUES (9)", /FOREIGN KEY constraint failed/],
    ["INSERT INTO strict_t VALUES ('x')", /cannot store TEXT value in INTEGER column strict_t\.i/],
    ["DELETE FROM t", /stays here/],
  ]);
  assert.equal(await stock(published.file, "SELECT count(*) FROM t"), "1");
});

test("text that is no SQL is a parse error", async (t) => {
  await refuses(connect(t, await publish(t)), "SQL_PARSE_ERROR", [
    ["NOT A VALID SQL", /near "NOT": syntax error/],
    ["SELECT (1", /incomplete input/],
    ["SELECT 'open", /unrecognized token/],
    ["SELECT 1 2", /syntax error/],
  ]);
});

test("names that are not there are an input error where SQLite tells the offset", async (t) => {
  const client = connect(t, await publish(t));
  await refuses(client, "SQL_INPUT_ERROR", [
    ["SELECT foobar", /no such column: foobar \(at offset 7\)/],
    ["SELECT no_function()", /no such function: no_function/],
  ]);
  await refuses(client, "SQLITE_ERROR", [
    ["SELECT * FROM nowhere", /no such table: nowhere/],
    ["INSERT INTO nowhere VALUES (1)", /no such table: nowhere/],
    ["DROP INDEX nowhere", /no such index: nowhere/],
  ]);
});

test("no statement and several statements are told apart", async (t) => {
  const client = connect(t, await publish(t, "CREATE TABLE t (a);"));
  await refuses(client, "SQL_NO_STATEMENT", [[""], [" "], [";"], ["-- only a comment"], ["/* open"]]);
  await refuses(client, "SQL_MANY_STATEMENTS", [
    ["SELECT 1; SELECT 2"],
    ["INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"],
  ]);
  assert.deepEqual(plain(await client.execute("SELECT count(*) FROM t")), [[0]]);
});

test("nothing gets out of the database", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a);");
  const client = connect(t, published);
  await refuses(client, "SQLITE_AUTH", [
    ["ATTACH '/etc/passwd' AS p"],
    ["ATTACH ':memory:' AS m"],
    ["DETACH main"],
    [`VACUUM INTO '${published.file}.copy'`],
    ["PRAGMA journal_mode=DELETE"],
    ["PRAGMA main.journal_mode(MEMORY)"],
    ["PRAGMA page_size=1024"],
    ["PRAGMA locking_mode=EXCLUSIVE"],
    ["PRAGMA writable_schema=ON"],
    ["PRAGMA temp_store_directory='/tmp'"],
    ["PRAGMA wal_checkpoint(TRUNCATE)"],
    ["SELECT load_extension('/lib/x.so')"],
    ["PRAGMA synchronous=OFF"],
  ]);
  await assert.rejects(
    client.executeMultiple("INSERT INTO t VALUES (1); ATTACH ':memory:' AS m; INSERT INTO t VALUES (2);"),
    failsWith("SQLITE_AUTH"),
  );
  assert.deepEqual(plain(await client.execute("PRAGMA journal_mode")), [["wal"]]);
  assert.equal(await stock(published.file, "SELECT group_concat(a) FROM t"), "1");
});

test("a result that is too large is refused while others are served", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a);");
  const client = connect(t, published);
  const rows = (count) =>
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) SELECT i, hex(zeroblob(500)) FROM n`;
  const large = [1, 2, 3].map(() =>
    assert.rejects(client.execute(rows(1_000_000)), failsWith("RESPONSE_TOO_LARGE")),
  );
  for (let i = 0; i < 50; ++i) assert.deepEqual(plain(await client.execute(`SELECT ${i}`)), [[i]]);
  await Promise.all(large);
  // Less than the limit is no trouble.
  const found = await client.execute(rows(5_000));
  assert.equal(found.rows.length, 5_000);
  assert.equal(found.rows[4_999][1].length, 1_000);
});

test("a write whose result is too large is taken back", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a);");
  const client = connect(t, published);
  await assert.rejects(
    client.execute(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
      INSERT INTO t SELECT i FROM n RETURNING hex(zeroblob(500))`),
    failsWith("RESPONSE_TOO_LARGE"),
  );
  assert.equal(await stock(published.file, "SELECT count(*) FROM t"), "0");
});

test("a value or a text that is too large is refused", async (t) => {
  const client = connect(t, await publish(t));
  await assert.rejects(client.execute("SELECT zeroblob(1000000000)"), failsWith("SQLITE_TOOBIG"));
  const text = `SELECT '${"x".repeat(3 << 20)}'`;
  await assert.rejects(client.execute(text), failsWith("SQLITE_TOOBIG", /1048576 are allowed/));
  assert.deepEqual(plain(await client.execute("SELECT 1")), [[1]]);
});

test("a request that is too large is refused while it is sent", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a);");
  const client = connect(t, published);
  for (const size of [16 << 20, 40 << 20]) {
    await assert.rejects(
      client.execute({ sql: "INSERT INTO t VALUES (?)", args: [new Uint8Array(size)] }),
      failsWith("SERVER_ERROR", /413/),
    );
    assert.deepEqual(plain(await client.execute("SELECT count(*) FROM t")), [[0]]);
  }
});
