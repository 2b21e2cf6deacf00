import { createClient } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql";

import { usersTable } from "./schema.js";

interface Env {
  TURSO_DATABASE_URL: string;
  TURSO_AUTH_TOKEN: string;
}

export default {
  async fetch(request: Request, env: Env) {
    const client = createClient({
      url: env.TURSO_DATABASE_URL,
      authToken: env.TURSO_AUTH_TOKEN,
    });

    const db = drizzle(client);
    const users = await db.select().from(usersTable);
    return new Response(JSON.stringify(users));
  },
};
