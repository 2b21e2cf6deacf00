// The programs of the user's document, with nothing changed but the URL.

import assert from "node:assert/strict";
import { test } from "node:test";

import { failsWith, plain, publish, stock } from "./published_database.js";

const users = `
  CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT UNIQUE,
    is_admin INTEGER NOT NULL DEFAULT 0, created_at INTEGER);
  INSERT INTO users (name, email) VALUES ('Aiko', 'aiko@example.org'), ('Ben', NULL);`;

let loads = 0;

/** A cold start: the program's global scope is a new one. */
async function load(name, published) {
  process.env.TURSO_DATABASE_URL = published.url;
  process.env.TURSO_AUTH_TOKEN = "eyJhbGc...";
  return import(`./programs/${name}.js?load=${++loads}`);
}

function environment(published) {
  return { TURSO_DATABASE_URL: published.url, TURSO_AUTH_TOKEN: "eyJhbGc..." };
}

test("a remote client reads and writes", async (t) => {
  const published = await publish(t, users);
  const { db } = await load("remote_client", published);
  assert.equal(db.protocol, "http");

  await db.execute({ sql: "INSERT INTO users (name) VALUES (?)", args: ["Chie"] });
  const found = await db.execute("SELECT id, name FROM users ORDER BY id");
  assert.deepEqual(plain(found), [[1, "Aiko"], [2, "Ben"], [3, "Chie"]]);
  assert.equal(await stock(published.file, "SELECT name FROM users WHERE id = 3"), "Chie");
});

test("a remote client finds the database by its path and by libsql URLs, too", async (t) => {
  const published = await publish(t, users);
  const as_libsql = (url) => `${url.replace(/^http:/, "libsql:")}?tls=0`;
  const urls = [`${published.named_url}/`, `${published.url}/`];
  for (const url of [...urls, ...[published.url, ...urls].map(as_libsql)]) {
    const { db } = await load("remote_client", { url });
    assert.deepEqual(plain(await db.execute("SELECT count(*) FROM users")), [[2]], url);
  }
  // Without a slash behind it the client leaves out a path's last part, the database's name.
  const { db } = await load("remote_client", { url: published.named_url });
  await assert.rejects(db.execute("SELECT 1"), failsWith("NOT_FOUND", /\/db\/NAME\/ with the slash/));
});

test("a server of several databases serves each by its path, and none by its root", async (t) => {
  const published = await publish(t, users, ["v2"]);
  const names = async (url) => {
    const { db } = await load("remote_client", { url });
    return plain(await db.execute("SELECT group_concat(name) FROM users"))[0][0];
  };
  const { db: other } = await load("remote_client", { url: `${published.url}/db/v2/` });
  await other.execute("UPDATE users SET name = 'Zoe' WHERE id = 1");
  assert.equal(await names(`${published.url}/db/v2/`), "Zoe,Ben");
  assert.equal(await names(`${published.named_url}/`), "Aiko,Ben");
  for (const url of [published.url, published.named_url]) {
    await assert.rejects(names(url), failsWith("NOT_FOUND", /\/db\/NAME\/ with the slash/));
  }
  await assert.rejects(names(`${published.url}/db/absent.db/`), failsWith("NOT_FOUND", /"absent\.db"/));
});

test("a cached client serves one event after another", async (t) => {
  const published = await publish(t, users);
  const { handler, getValidConnection } = await load("cached_client", published);
  assert.deepEqual(plain(await handler({ name: "Chie" })), [[3]]);
  const cached = await getValidConnection();
  assert.deepEqual(plain(await handler({ name: "Dora" })), [[4]]);
  assert.equal(await getValidConnection(), cached);
  assert.equal(await stock(published.file, "SELECT group_concat(name) FROM users"), "Aiko,Ben,Chie,Dora");
});

test("getValidConnection drops the client of a server that is away, and the next works when it is back", async (t) => {
  const published = await publish(t, users);
  const { handler, getValidConnection } = await load("cached_client", published);
  await handler({ name: "Chie" });
  const before = await getValidConnection();

  await published.stop();
  const meanwhile = await getValidConnection();
  assert.notEqual(meanwhile, before);
  await assert.rejects(meanwhile.execute("SELECT 1"));

  await published.start();
  const after = await getValidConnection();
  assert.deepEqual(plain(await after.execute("SELECT 1")), [[1]]);
  assert.deepEqual(plain(await handler({ name: "Dora" })), [[4]]);
});

test("a cached client goes on by itself when the server was restarted between two events", async (t) => {
  const published = await publish(t, users);
  const { handler, getValidConnection } = await load("cached_client", published);
  await handler({ name: "Chie" });
  const before = await getValidConnection();

  await published.stop();
  await published.start();
  assert.equal(await getValidConnection(), before);
  assert.deepEqual(plain(await handler({ name: "Dora" })), [[4]]);
});

test("a Cloudflare worker makes a client for each request", async (t) => {
  const published = await publish(t, users);
  const { default: worker } = await load("cloudflare_worker", published);
  const request = new Request("https://example.org/");
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => worker.fetch(request, environment(published))),
  );
  for (const answer of answers) {
    assert.deepEqual(await answer.json(), [
      { id: 1, name: "Aiko", email: "aiko@example.org", is_admin: 0, created_at: null },
      { id: 2, name: "Ben", email: null, is_admin: 0, created_at: null },
    ]);
  }
});

test("a Cloudflare worker with Drizzle answers with the users", async (t) => {
  const published = await publish(t, users);
  const { default: worker } = await load("cloudflare_drizzle_worker", published);
  const answer = await worker.fetch(new Request("https://example.org/"), environment(published));
  assert.deepEqual(
    (await answer.json()).map(({ name, isAdmin }) => [name, isAdmin]),
    [["Aiko", false], ["Ben", false]],
  );
});

test("a Vercel edge function with the web client answers with the users", async (t) => {
  const published = await publish(t, users);
  const { default: handler, config } = await load("vercel_edge_function", published);
  assert.deepEqual(config, { runtime: "edge" });
  const answer = await handler(new Request("https://example.org/"));
  assert.deepEqual((await answer.json()).map(({ name }) => name), ["Aiko", "Ben"]);
});

test("a Lambda handler with Drizzle answers with the users, warm and cold", async (t) => {
  const published = await publish(t, users);
  const { handler } = await load("lambda_handler", published);
  const names = async (answer) => {
    assert.equal(answer.statusCode, 200);
    return JSON.parse(answer.body).map(({ name }) => name);
  };
  assert.deepEqual(await names(await handler({})), ["Aiko", "Ben"]);
  await stock(published.file, "INSERT INTO users (name) VALUES ('Chie')");
  assert.deepEqual(await names(await handler({})), ["Aiko", "Ben", "Chie"]);

  const cold = await load("lambda_handler", published);
  assert.deepEqual(await names(await cold.handler({})), ["Aiko", "Ben", "Chie"]);
});

test("the health check tells a server that answers from one that is away", async (t) => {
  const published = await publish(t, users);
  const { checkDatabaseHealth } = await load("health_check", published);
  const healthy = await checkDatabaseHealth();
  assert.equal(healthy.status, "healthy");
  assert.ok(healthy.latencyMs < 5000, `${healthy.latencyMs} ms`);

  await published.stop();
  const unhealthy = await checkDatabaseHealth();
  assert.equal(unhealthy.status, "unhealthy");
  assert.match(unhealthy.error, /fetch failed/);

  await published.start();
  assert.equal((await checkDatabaseHealth()).status, "healthy");
});

test("a remote url with a syncUrl stays a remote client, which cannot sync", async (t) => {
  const published = await publish(t, users);
  const { createClient } = await import("@libsql/client");
  const db = createClient({ url: published.url, syncUrl: published.url, syncInterval: 60 });
  assert.equal(db.protocol, "http");
  assert.deepEqual(plain(await db.execute("SELECT count(*) FROM users")), [[2]]);
  // The client throws this one before there is a promise.
  await assert.rejects(async () => db.sync(), failsWith("SYNC_NOT_SUPPORTED"));
  db.close();
});
