// Many clients at once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, plain, publish, stock } from "./published_database.js";

const table = "CREATE TABLE t (client INTEGER, step INTEGER);";

test("a hundred cold clients at once are all served", async (t) => {
  const published = await publish(t, table);
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const client = connect(t, published);
      await client.execute({ sql: "INSERT INTO t VALUES (?, 0)", args: [i] });
      const found = await client.execute({ sql: "SELECT client FROM t WHERE client = ?", args: [i] });
      assert.deepEqual(plain(found), [[i]]);
    }),
  );
  assert.equal(await stock(published.file, "SELECT count(DISTINCT client), count(*) FROM t"), "100|100");
});

test("write transactions of many clients come one after another", async (t) => {
  const published = await publish(t, `${table} INSERT INTO t VALUES (0, 0);`);
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = connect(t, published);
      const transaction = await client.transaction("write");
      const { rows } = await transaction.execute("SELECT max(step) FROM t");
      await transaction.execute({ sql: "INSERT INTO t VALUES (1, ?)", args: [rows[0][0] + 1] });
      await transaction.commit();
    }),
  );
  assert.equal(await stock(published.file, "SELECT max(step), count(*), count(DISTINCT step) FROM t"), "20|21|21");
});

test("readers see only whole transactions while others write", async (t) => {
  const published = await publish(t, table);
  const writer = connect(t, published);
  const reader = connect(t, published);
  let writing = true;
  const reads = async () => {
    let count = 0;
    while (writing) {
      const [[sum, rows]] = plain(await reader.execute("SELECT coalesce(sum(step), 0), count(*) FROM t"));
      assert.equal(sum, 0);
      assert.equal(rows % 2, 0);
      ++count;
    }
    return count;
  };
  const writes = async () => {
    for (let i = 1; i <= 50; ++i) {
      await writer.batch([`INSERT INTO t VALUES (0, ${i})`, `INSERT INTO t VALUES (0, ${-i})`], "write");
    }
    writing = false;
  };
  const [first, second] = await Promise.all([reads(), reads(), writes().finally(() => (writing = false))]);
  assert.ok(first > 0 && second > 0);
  assert.equal(await stock(published.file, "SELECT count(*) FROM t"), "100");
});

test("stock SQLite programs and clients write to one database side by side", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const stockWrites = async () => {
    for (let i = 0; i < 10; ++i) await stock(published.file, `INSERT INTO t VALUES (1, ${i})`);
  };
  const clientWrites = async () => {
    for (let i = 0; i < 50; ++i) await client.execute({ sql: "INSERT INTO t VALUES (2, ?)", args: [i] });
  };
  await Promise.all([stockWrites(), clientWrites()]);
  assert.deepEqual(plain(await client.execute("SELECT client, count(*) FROM t GROUP BY 1 ORDER BY 1")), [
    [1, 10],
    [2, 50],
  ]);
});
