// What clients write through SQL, on a replica.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, publish, run, stock, until } from "./published_database.js";

async function onReplica(published, sql) {
  const { stdout } = await run("sqlite3", "-readonly", published.replica, sql);
  return stdout.trimEnd();
}

test("a write through SQL is read on the replica", async (t) => {
  const published = await publish(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, a);");
  const client = connect(t, published);
  await client.execute({ sql: "INSERT INTO t (a) VALUES (?)", args: ["接続 \u{1F30A}"] });
  await until(async () => (await onReplica(published, "SELECT a FROM t")) === "接続 \u{1F30A}", "the row");

  await client.migrate(["ALTER TABLE t ADD COLUMN b DEFAULT 'new'", "CREATE INDEX t_b ON t (b)"]);
  await until(async () => (await onReplica(published, "SELECT b FROM t")) === "new", "the column");
  assert.match(await published.verify(), /page/);
});

test("an open transaction stays off the replica, and comes as a whole", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a);");
  const client = connect(t, published);
  await client.execute("INSERT INTO t VALUES (0)");
  const transaction = await client.transaction("write");
  for (let i = 1; i < 100; ++i) await transaction.execute(`INSERT INTO t VALUES (${i})`);
  await until(async () => (await onReplica(published, "SELECT count(*) FROM t")) === "1", "the row before");
  const seen = new Set();
  const committed = transaction.commit();
  await until(async () => {
    const count = await onReplica(published, "SELECT count(*) FROM t");
    seen.add(count);
    return count === "100";
  }, "the transaction");
  await committed;
  for (const count of seen) assert.ok(["", "1", "100"].includes(count), count);
});

test("a replica follows through a restart of the server", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a);");
  const client = connect(t, published);
  await client.execute("INSERT INTO t VALUES (1)");
  await published.stop();
  await stock(published.file, "INSERT INTO t VALUES (2)");
  await published.start();
  await client.execute("INSERT INTO t VALUES (3)");
  await until(async () => (await onReplica(published, "SELECT group_concat(a) FROM t")) === "1,2,3", "all rows");
});

test("a replica equals its primary after VACUUM, a large blob and a dropped table", async (t) => {
  const published = await publish(t, "CREATE TABLE t (a); CREATE TABLE u (a);");
  const client = connect(t, published);
  await client.execute({ sql: "INSERT INTO t VALUES (?)", args: [new Uint8Array(3 << 20).fill(7)] });
  await client.execute("DROP TABLE u");
  await client.execute("DELETE FROM t");
  await client.execute("VACUUM");
  await client.execute({ sql: "INSERT INTO t VALUES (?)", args: [new Uint8Array(1 << 20).fill(9)] });
  await published.verify();
  assert.equal(await onReplica(published, "SELECT length(a), hex(substr(a, 1, 2)) FROM t"), "1048576|0909");
});
