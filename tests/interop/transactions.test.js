// Batches, migrations and interactive transactions through @libsql/client.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, failsWith, plain, publish, run, stock } from "./published_database.js";

const table = "CREATE TABLE t (a INTEGER UNIQUE);";

async function content(published) {
  return stock(published.file, "SELECT coalesce(group_concat(a), '') FROM (SELECT a FROM t ORDER BY a)");
}

for (const mode of ["write", "deferred"]) {
  test(`a batch in mode "${mode}" is there as a whole or not at all`, async (t) => {
    const published = await publish(t, table);
    const client = connect(t, published);
    const results = await client.batch(
      ["INSERT INTO t VALUES (1)", { sql: "INSERT INTO t VALUES (?)", args: [2] }, ["INSERT INTO t VALUES (:a)", { a: 3 }], "SELECT count(*) FROM t"],
      mode,
    );
    assert.deepEqual(results.map((result) => result.rowsAffected), [1, 1, 1, 0]);
    assert.deepEqual(plain(results[3]), [[3]]);

    await assert.rejects(
      client.batch(["INSERT INTO t VALUES (4)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (5)"], mode),
      (error) => failsWith("SQLITE_CONSTRAINT")(error) && error.statementIndex === 1,
    );
    await assert.rejects(
      client.batch(["INSERT INTO t VALUES (6)", "INSERT INTO nowhere VALUES (1)"], mode),
      (error) => error.statementIndex === 1,
    );
    assert.equal(await content(published), "1,2,3");
  });
}

test('a batch in mode "read" reads one state, and cannot write', async (t) => {
  const published = await publish(t, `${table} INSERT INTO t VALUES (1);`);
  const client = connect(t, published);
  const [first, second] = await client.batch(["SELECT * FROM t", "SELECT count(*) FROM t"], "read");
  assert.deepEqual([plain(first), plain(second)], [[[1]], [[1]]]);
  for (const write of ["INSERT INTO t VALUES (2)", "DROP TABLE t", "CREATE TEMP TABLE u (a)", "PRAGMA user_version = 5"]) {
    await assert.rejects(
      client.batch(["SELECT 1", write], "read"),
      (error) => failsWith("SQLITE_READONLY")(error) && error.statementIndex === 1,
      write,
    );
  }
  assert.equal(await content(published), "1");
});

test("a batch whose first RETURNING breaks a constraint leaves nothing behind", async (t) => {
  const published = await publish(t, `${table} INSERT INTO t VALUES (1);`);
  const client = connect(t, published);
  await assert.rejects(
    client.batch(["INSERT INTO t VALUES (1) RETURNING a", "INSERT INTO t VALUES (2) RETURNING a"], "write"),
    failsWith("SQLITE_CONSTRAINT"),
  );
  assert.equal(await content(published), "1");
});

test("a batch may repeat a statement", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const inserts = Array.from({ length: 500 }, (_, i) => ({ sql: "INSERT INTO t VALUES (?)", args: [i] }));
  assert.equal((await client.batch(inserts, "write")).length, 500);
  assert.equal(await stock(published.file, "SELECT count(*), sum(a) FROM t"), "500|124750");
});

test("migrate() rebuilds a table that others refer to", async (t) => {
  const published = await publish(t, `
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE child (parent INTEGER REFERENCES parent ON DELETE CASCADE);
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);`);
  const client = connect(t, published);
  const rebuild = [
    "CREATE TABLE new_parent (id INTEGER PRIMARY KEY, name TEXT)",
    "INSERT INTO new_parent (id) SELECT id FROM parent",
    "DROP TABLE parent",
    "ALTER TABLE new_parent RENAME TO parent",
  ];
  await assert.rejects(client.migrate([...rebuild, "INSERT INTO parent (id) VALUES (1)"]), failsWith("SQLITE_CONSTRAINT"));
  assert.equal(await stock(published.file, "SELECT count(*) FROM pragma_table_info('parent')"), "1");

  await client.migrate(rebuild);
  assert.equal(await stock(published.file, "SELECT count(*) FROM pragma_table_info('parent')"), "2");
  assert.equal(await stock(published.file, "SELECT count(*) FROM child"), "1");
  await assert.rejects(client.execute("INSERT INTO child VALUES (9)"), failsWith("SQLITE_CONSTRAINT", /FOREIGN KEY/));
});

test("an interactive transaction is seen by others when it commits", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const transaction = await client.transaction("write");
  await transaction.execute("INSERT INTO t VALUES (1)");
  const [, counted] = await transaction.batch(["INSERT INTO t VALUES (2)", "SELECT count(*) FROM t"]);
  assert.deepEqual(plain(counted), [[2]]);
  await transaction.executeMultiple("INSERT INTO t VALUES (3); INSERT INTO t VALUES (4);");

  assert.deepEqual(plain(await client.execute("SELECT count(*) FROM t")), [[0]]);
  assert.equal(await content(published), "");
  await transaction.commit();
  assert.ok(transaction.closed);
  assert.equal(await content(published), "1,2,3,4");
  await assert.rejects(transaction.execute("SELECT 1"), failsWith("TRANSACTION_CLOSED"));
});

test("an interactive transaction is taken back by rollback() and by close()", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const rolledBack = await client.transaction("write");
  await rolledBack.execute("INSERT INTO t VALUES (1)");
  await rolledBack.rollback();
  assert.ok(rolledBack.closed);

  const closed = await client.transaction("write");
  await closed.execute("INSERT INTO t VALUES (2)");
  closed.close();
  // Waits its turn behind the closed one.
  await client.execute("INSERT INTO t VALUES (3)");
  assert.equal(await content(published), "3");
});

test("an interactive transaction survives a statement that fails", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const transaction = await client.transaction("write");
  await transaction.execute("INSERT INTO t VALUES (1)");
  await assert.rejects(transaction.execute("INSERT INTO t VALUES (1)"), failsWith("SQLITE_CONSTRAINT"));
  await assert.rejects(transaction.execute("SELEC 1"), failsWith("SQL_PARSE_ERROR"));
  await transaction.execute("INSERT INTO t VALUES (2)");
  await transaction.commit();
  assert.equal(await content(published), "1,2");
});

test("a read transaction keeps its state and cannot write, whatever it tries", async (t) => {
  const published = await publish(t, `${table} INSERT INTO t VALUES (1);`);
  const client = connect(t, published);
  const transaction = await client.transaction("read");
  assert.deepEqual(plain(await transaction.execute("SELECT count(*) FROM t")), [[1]]);
  await client.execute("INSERT INTO t VALUES (2)");
  assert.deepEqual(plain(await transaction.execute("SELECT count(*) FROM t")), [[1]]);
  for (const write of ["INSERT INTO t VALUES (3)", "DELETE FROM t", "CREATE TABLE u (a)", "CREATE TEMP TABLE u (a)"]) {
    await assert.rejects(transaction.execute(write), failsWith("SQLITE_READONLY"), write);
  }
  await assert.rejects(transaction.executeMultiple("SELECT 1; DELETE FROM t;"), failsWith("SQLITE_READONLY"));
  await transaction.commit();
  assert.equal(await content(published), "1,2");
});

test("a deferred transaction writes when it comes to that", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const transaction = await client.transaction("deferred");
  await transaction.execute("SELECT * FROM t");
  await transaction.execute("INSERT INTO t VALUES (1)");
  await transaction.commit();
  assert.equal(await content(published), "1");
});

test("a deferred transaction that read before another wrote is told to begin anew", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const transaction = await client.transaction("deferred");
  await transaction.execute("SELECT * FROM t");
  await client.execute("INSERT INTO t VALUES (1)");
  await assert.rejects(transaction.execute("INSERT INTO t VALUES (2)"), failsWith("SQLITE_BUSY"));
  transaction.close();
  assert.equal(await content(published), "1");
});

test("the second of two write transactions waits its turn", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const first = await client.transaction("write");
  const second = await client.transaction("write");
  await first.execute("INSERT INTO t VALUES (1)");
  let began = false;
  const waiting = second.execute("SELECT count(*) FROM t").then((result) => {
    began = true;
    return plain(result);
  });
  // Reads go on, and so does the first.
  assert.deepEqual(plain(await client.execute("SELECT count(*) FROM t")), [[0]]);
  await first.execute("INSERT INTO t VALUES (2)");
  // It is SQLite's own lock that is held.
  const refused = await run("sqlite3", published.file, "INSERT INTO t VALUES (9)");
  assert.match(refused.stderr, /database is locked/);
  assert.equal(began, false);
  await first.commit();
  assert.deepEqual(await waiting, [[2]]);
  await second.execute("INSERT INTO t VALUES (3)");
  await second.commit();
  assert.equal(await content(published), "1,2,3");
});

test("an abandoned transaction is rolled back, and who waited goes on", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const abandoned = await client.transaction("write");
  await abandoned.execute("INSERT INTO t VALUES (1)");
  const begin = Date.now();
  await client.execute("INSERT INTO t VALUES (2)");
  const waited_ms = Date.now() - begin;
  assert.ok(waited_ms > 3000 && waited_ms < 8000, `${waited_ms} ms`);
  assert.equal(await content(published), "2");

  await assert.rejects(abandoned.execute("INSERT INTO t VALUES (3)"), failsWith("STREAM_EXPIRED"));
  await assert.rejects(abandoned.commit(), failsWith("TRANSACTION_CLOSED"));
  assert.equal(await content(published), "2");
});

test("an abandoned transaction cannot be committed", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const abandoned = await client.transaction("write");
  await abandoned.execute("INSERT INTO t VALUES (1)");
  await client.execute("INSERT INTO t VALUES (2)");
  await assert.rejects(abandoned.commit(), failsWith("STREAM_EXPIRED"));
  assert.equal(await content(published), "2");
});

test("a transaction that lost its server is over", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const transaction = await client.transaction("write");
  await transaction.execute("INSERT INTO t VALUES (1)");
  await published.stop();
  await published.start();
  await assert.rejects(transaction.execute("INSERT INTO t VALUES (2)"), failsWith("STREAM_EXPIRED"));
  await client.execute("INSERT INTO t VALUES (3)");
  assert.equal(await content(published), "3");
});

test("statements of one client's streams do not leak into each other", async (t) => {
  const client = connect(t, await publish(t, table));
  const transaction = await client.transaction("deferred");
  await transaction.execute("CREATE TEMP TABLE mine (a)");
  await assert.rejects(client.execute("SELECT * FROM mine"), failsWith("SQLITE_ERROR", /no such table/));
  await client.execute("PRAGMA foreign_keys=off");
  assert.deepEqual(plain(await client.execute("PRAGMA foreign_keys")), [[1]]);
  await transaction.rollback();
});
