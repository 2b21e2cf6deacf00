import { createClient } from "@libsql/client/web";
import { drizzle } from "drizzle-orm/libsql";

import { usersTable } from "./schema.js";

const client = createClient({
  url: process.env.TURSO_DATABASE_URL!,
  authToken: process.env.TURSO_AUTH_TOKEN!,
});

export const db = drizzle(client);

export default async function handler(request: Request) {
  const users = await db.select().from(usersTable);
  return new Response(JSON.stringify(users));
}

export const config = {
  runtime: "edge",
};
