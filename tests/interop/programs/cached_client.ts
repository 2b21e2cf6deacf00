import { createClient } from "@libsql/client";

let cachedClient: ReturnType<typeof createClient> | null = null;

function getClient() {
  if (cachedClient) {
    return cachedClient;
  }

  cachedClient = createClient({
    url: process.env.TURSO_DATABASE_URL!,
    authToken: process.env.TURSO_AUTH_TOKEN!,
  });

  return cachedClient;
}

// The document leaves this one to its reader.
function createNewClient() {
  return getClient();
}

export async function getValidConnection() {
  if (cachedClient) {
    try {
      await cachedClient.execute("SELECT 1");
      return cachedClient;
    } catch (error) {
      cachedClient = null;
    }
  }

  return createNewClient();
}

export const handler = async (event: { name: string }) => {
  const db = getClient();
  // What the document leaves to its reader, too.
  return db.execute({ sql: "INSERT INTO users (name) VALUES (?) RETURNING id", args: [event.name] });
};
