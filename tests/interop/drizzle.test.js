// Drizzle on the client as the user's document sets it up: its queries, relations, transactions and
// migrations.

import assert from "node:assert/strict";
import { test } from "node:test";

import { count, desc, eq, gt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { migrate } from "drizzle-orm/libsql/migrator";

import { publish, stock } from "./published_database.js";
import { postsTable, usersTable } from "./programs/schema.js";

/** The user's program, on a database that Drizzle itself migrated. */
async function application(t) {
  const published = await publish(t);
  process.env.TURSO_DATABASE_URL = published.url;
  process.env.TURSO_AUTH_TOKEN = "eyJhbGc...";
  const { db } = await import(`./programs/application_database.js?at=${published.url}`);
  await migrate(db, { migrationsFolder: "migrations" });
  return { db, published };
}

const aiko = { name: "Aiko", email: "aiko@example.org" };
const ben = { name: "Ben", email: "ben@example.org", isAdmin: true };

test("Drizzle's migrations run once", async (t) => {
  const { db, published } = await application(t);
  await db.insert(usersTable).values(aiko);
  await migrate(db, { migrationsFolder: "migrations" });
  assert.equal(await stock(published.file, "SELECT count(*) FROM __drizzle_migrations"), "2");
  assert.equal(
    await stock(published.file, "SELECT group_concat(name) FROM sqlite_schema WHERE sql LIKE '%author_id%'"),
    "posts",
  );
  assert.equal((await db.select().from(usersTable)).length, 1);
});

test("Drizzle inserts, selects, updates and deletes", async (t) => {
  const { db, published } = await application(t);
  const createdAt = new Date("2026-11-25T12:34:56.789Z");
  const inserted = await db.insert(usersTable).values([{ ...aiko, createdAt }, ben]).returning();
  assert.deepEqual(inserted, [
    { id: 1, ...aiko, isAdmin: false, createdAt },
    { id: 2, ...ben, createdAt: null },
  ]);

  const updated = await db.update(usersTable).set({ name: "Benno" }).where(eq(usersTable.id, 2));
  assert.equal(updated.rowsAffected, 1);
  await db
    .insert(usersTable)
    .values({ ...ben, name: "Benjamin" })
    .onConflictDoUpdate({ target: usersTable.email, set: { name: sql`excluded.name` } });
  assert.deepEqual(
    await db.select({ id: usersTable.id, name: usersTable.name }).from(usersTable).orderBy(desc(usersTable.id)),
    [{ id: 2, name: "Benjamin" }, { id: 1, name: "Aiko" }],
  );

  assert.deepEqual(
    await db.delete(usersTable).where(gt(usersTable.id, 1)).returning({ name: usersTable.name }),
    [{ name: "Benjamin" }],
  );
  assert.equal(await stock(published.file, "SELECT id, name, created_at FROM users"), `1|Aiko|${+createdAt}`);
});

test("Drizzle joins tables whose columns have the same names", async (t) => {
  const { db } = await application(t);
  await db.insert(usersTable).values([aiko, ben]);
  await db.insert(postsTable).values([
    { id: 70, title: "First", authorId: 2 },
    { id: 71, title: "Second", authorId: 2 },
  ]);
  const joined = await db
    .select()
    .from(postsTable)
    .innerJoin(usersTable, eq(postsTable.authorId, usersTable.id))
    .orderBy(postsTable.id);
  assert.deepEqual(joined.map(({ users, posts }) => [users.id, posts.id, posts.title]), [
    [2, 70, "First"],
    [2, 71, "Second"],
  ]);
  assert.deepEqual(
    await db.select({ name: usersTable.name, posts: count(postsTable.id) })
      .from(usersTable)
      .leftJoin(postsTable, eq(postsTable.authorId, usersTable.id))
      .groupBy(usersTable.id),
    [{ name: "Aiko", posts: 0 }, { name: "Ben", posts: 2 }],
  );
});

test("Drizzle's relations bring the posts with their authors", async (t) => {
  const { db } = await application(t);
  await db.insert(usersTable).values([aiko, ben]);
  await db.insert(postsTable).values({ id: 70, title: "It's 10 °C \u{1F30A}", tags: ["a", "b"], authorId: 2 });
  const found = await db.query.usersTable.findMany({
    columns: { name: true },
    with: { posts: { columns: { title: true, tags: true } } },
  });
  assert.deepEqual(found, [
    { name: "Aiko", posts: [] },
    { name: "Ben", posts: [{ title: "It's 10 °C \u{1F30A}", tags: ["a", "b"] }] },
  ]);
  const post = await db.query.postsTable.findFirst({ with: { author: true } });
  assert.equal(post.author.email, ben.email);
});

test("Drizzle's transaction is there as a whole", async (t) => {
  const { db, published } = await application(t);
  const authored = await db.transaction(async (tx) => {
    const [author] = await tx.insert(usersTable).values(aiko).returning();
    await tx.insert(postsTable).values({ title: "First", authorId: author.id });
    return tx.$count(postsTable);
  });
  assert.equal(authored, 1);
  assert.equal(await stock(published.file, "SELECT author_id, title FROM posts"), "1|First");
});

test("Drizzle's transaction is taken back by rollback() and by an exception", async (t) => {
  const { db, published } = await application(t);
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.insert(usersTable).values(aiko);
      tx.rollback();
    }),
    /Rollback/,
  );
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.insert(usersTable).values(aiko);
      throw new Error("changed my mind");
    }),
    /changed my mind/,
  );
  assert.equal(await stock(published.file, "SELECT count(*) FROM users"), "0");
});

test("Drizzle's nested transaction is a savepoint", async (t) => {
  const { db, published } = await application(t);
  await db.transaction(async (tx) => {
    await tx.insert(usersTable).values(aiko);
    await assert.rejects(
      tx.transaction(async (inner) => {
        await inner.insert(usersTable).values(ben);
        inner.rollback();
      }),
    );
  });
  assert.equal(await stock(published.file, "SELECT name FROM users"), "Aiko");
});

test("Drizzle's batch is one transaction", async (t) => {
  const { db, published } = await application(t);
  const [, found] = await db.batch([
    db.insert(usersTable).values(aiko),
    db.select({ name: usersTable.name }).from(usersTable),
  ]);
  assert.deepEqual(found, [{ name: "Aiko" }]);
  await assert.rejects(db.batch([db.insert(usersTable).values(ben), db.insert(usersTable).values(aiko)]));
  assert.equal(await stock(published.file, "SELECT count(*) FROM users"), "1");
});

test("Drizzle hands on what a constraint said, and foreign keys hold", async (t) => {
  const { db, published } = await application(t);
  await db.insert(usersTable).values(aiko);
  await assert.rejects(db.insert(usersTable).values(aiko), (error) => {
    assert.equal(error.cause.code, "SQLITE_CONSTRAINT");
    assert.match(error.cause.message, /UNIQUE constraint failed: users\.email/);
    return true;
  });
  await assert.rejects(db.insert(postsTable).values({ title: "x", authorId: 9 }), (error) => {
    assert.match(error.cause.message, /FOREIGN KEY constraint failed/);
    return true;
  });
  await db.insert(postsTable).values({ title: "x", authorId: 1 });
  await db.delete(usersTable);
  assert.equal(await stock(published.file, "SELECT count(*) FROM posts"), "0");
});

test("Drizzle makes the client itself from a connection", async (t) => {
  const { published } = await application(t);
  const db = drizzle({ connection: { url: published.url, authToken: "eyJhbGc..." } });
  await db.insert(usersTable).values(aiko);
  assert.deepEqual(await db.get(sql`SELECT name FROM users`), { name: "Aiko" });
  assert.deepEqual(await db.all(sql`SELECT 1 AS one, 'two' AS two`), [{ one: 1, two: "two" }]);
  await db.run(sql`DELETE FROM users`);
  assert.equal(await db.$count(usersTable), 0);
});
