import { drizzle } from "drizzle-orm/libsql";
import { createClient } from "@libsql/client";

import { usersTable } from "./schema.js";

let client: ReturnType<typeof createClient> | null = null;

function getClient() {
  if (!client) {
    client = createClient({
      url: process.env.TURSO_DATABASE_URL!,
      authToken: process.env.TURSO_AUTH_TOKEN!,
    });
  }
  return client;
}

export const db = drizzle(getClient());

export const handler = async (event: Event) => {
  const users = await db.select().from(usersTable);
  return { statusCode: 200, body: JSON.stringify(users) };
};
