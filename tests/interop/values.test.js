// Values on their way there and back through @libsql/client, and as stock SQLite finds them stored.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";

import { connect, plain, publish, stock } from "./published_database.js";

const table = "CREATE TABLE kept (id INTEGER PRIMARY KEY, value);";

/** Stores a value, and answers with what came back, by RETURNING and by SELECT. */
async function stored(client, value) {
  const written = await client.execute({
    sql: "INSERT INTO kept (value) VALUES (?) RETURNING value",
    args: [value],
  });
  const read = await client.execute({
    sql: "SELECT value, typeof(value) FROM kept WHERE id = (SELECT max(id) FROM kept)",
    args: [],
  });
  assert.deepEqual(written.rows[0][0], read.rows[0][0]);
  return Array.from(read.rows[0]);
}

/** As stock SQLite prints the last one. */
function literal(published) {
  return stock(published.file, "SELECT quote(value) FROM kept ORDER BY id DESC LIMIT 1");
}

test("integers of 64 bits are exact as bigint", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published, { intMode: "bigint" });
  for (const value of [0n, 1n, -1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    assert.deepEqual(await stored(client, value), [value, "integer"]);
    assert.equal(await literal(published), String(value));
  }
});

test("integers of 64 bits are exact as string", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published, { intMode: "string" });
  assert.deepEqual(await stored(client, 2n ** 63n - 1n), ["9223372036854775807", "integer"]);
  assert.deepEqual(await stored(client, -(2n ** 63n)), ["-9223372036854775808", "integer"]);
});

test("integers past a number's precision are refused by the client as number", async (t) => {
  const client = connect(t, await publish(t, table));
  assert.deepEqual(await stored(client, 2n ** 53n - 1n), [2 ** 53 - 1, "integer"]);
  await assert.rejects(client.execute("SELECT 9007199254740992"), RangeError);
});

test("integers past 64 bits become floats in SQL text, as SQLite has it", async (t) => {
  const client = connect(t, await publish(t), { intMode: "bigint" });
  assert.deepEqual(plain(await client.execute("SELECT 9223372036854775808, typeof(9223372036854775808)")), [
    [9223372036854775808, "real"],
  ]);
});

test("floats keep every bit", async (t) => {
  const client = connect(t, await publish(t, table));
  for (const value of [0.1, -2.5, 1e308, -1e308, Number.MAX_VALUE, Number.MIN_VALUE, Math.PI, 1 / 3, 1e21, 2 ** 70]) {
    const [back, type] = await stored(client, value);
    assert.ok(Object.is(back, value), `${back} for ${value}`);
    assert.equal(type, "real");
  }
});

test("the sign of a zero comes back", async (t) => {
  const client = connect(t, await publish(t, table));
  const [zero, type] = await stored(client, 0);
  assert.ok(Object.is(zero, 0));
  assert.equal(type, "real");
  // The client's JSON drops the sign on the way there.
  assert.ok((await stored(client, -0))[0] === 0);
  const found = await client.execute("SELECT CAST('-0.0' AS REAL)");
  assert.ok(Object.is(found.rows[0][0], -0), `${found.rows[0][0]}`);
});

test("infinities are read; the client itself refuses to send them", async (t) => {
  const client = connect(t, await publish(t));
  assert.deepEqual(plain(await client.execute("SELECT 9e999, -9e999, 9e999 - 9e999")), [[Infinity, -Infinity, null]]);
  for (const value of [Infinity, -Infinity, NaN]) {
    await assert.rejects(client.execute({ sql: "SELECT ?", args: [value] }), RangeError);
  }
});

test("texts come back whole", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const texts = [
    "",
    "plain",
    "it's \"quoted\" \\ \\n",
    "line\nfeed\r\ntab\t bell\u0007 escape\u001b delete\u007f",
    "žluťoučký kůň",
    "接続管理",
    "\u{1F30A}\u{1F468}\u200D\u{1F469}\u200D\u{1F467}",
    "\u2028\u2029\ufeff\uffff",
    "a\0b",
    "\0",
    "a\0",
    "x".repeat(1 << 20),
  ];
  for (const text of texts) {
    assert.deepEqual(await stored(client, text), [text, "text"]);
    const bytes = Buffer.from(text, "utf8").toString("hex").toUpperCase();
    assert.equal(
      await stock(published.file, "SELECT hex(CAST(value AS BLOB)) FROM kept ORDER BY id DESC LIMIT 1"),
      bytes,
    );
  }
});

test("blobs come back whole", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (const blob of [new Uint8Array(0), all, all.subarray(3, 5), all.subarray(0, 1), randomBytes(1 << 20)]) {
    const [back, type] = await stored(client, blob);
    assert.ok(back instanceof ArrayBuffer);
    assert.equal(type, "blob");
    assert.ok(Buffer.from(blob).equals(Buffer.from(back)), `blob of ${blob.length} bytes`);
    assert.equal(await literal(published), `X'${Buffer.from(blob).toString("hex").toUpperCase()}'`);
  }
  const [back] = await stored(client, all.buffer);
  assert.ok(Buffer.from(all).equals(Buffer.from(back)));
});

test("null, booleans, dates and objects are stored as the client has them", async (t) => {
  const published = await publish(t, table);
  const client = connect(t, published);
  const day = new Date("2026-11-25T12:34:56.789Z");
  assert.deepEqual(await stored(client, null), [null, "null"]);
  assert.deepEqual(await stored(client, true), [1, "integer"]);
  assert.deepEqual(await stored(client, false), [0, "integer"]);
  assert.deepEqual(await stored(client, day), [+day, "real"]);
  assert.deepEqual(await stored(client, new URL("https://example.org/")), ["https://example.org/", "text"]);
});

test("values are typed by the columns they are stored in", async (t) => {
  const client = connect(t, await publish(t, "CREATE TABLE typed (i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC);"));
  const found = await client.execute({
    sql: "INSERT INTO typed VALUES (?, ?, ?, ?, ?) RETURNING *, typeof(i), typeof(r), typeof(t), typeof(b), typeof(n)",
    args: [7, 7n, "7", "7", "7"],
  });
  assert.deepEqual(Array.from(found.rows[0]), [7, 7, "7", "7", 7, "integer", "real", "text", "text", "integer"]);
});
