// A database of the test's own, published by `walferry serve` and followed by `walferry replicate`.
// At the test's end a stock writer adds a last commit, and the replica has to have it and be equal.

import { execFile, spawn } from "node:child_process";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "@libsql/client";

const program = process.env.WALFERRY_PROGRAM;
if (!program) throw new Error("WALFERRY_PROGRAM names no program; start the tests by run.sh");

const patience_ms = 20_000;

const endings = new WeakMap();

/** Runs `action` when the test ends, before what was asked for earlier; each even if others fail. */
export function atEnd(t, action) {
  if (!endings.has(t)) {
    endings.set(t, []);
    t.after(async () => {
      const failures = [];
      for (const ending of endings.get(t).reverse()) {
        try {
          await ending();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw failures[0];
    });
  }
  endings.get(t).push(action);
}

/** Asks until `question` answers something true, and gives that back. */
export async function until(question, what) {
  const deadline = Date.now() + patience_ms;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await pause(10);
  }
}

/** Runs a program to its end. */
export function run(command, ...args) {
  return new Promise((resolve) => {
    execFile(command, args, { maxBuffer: 1 << 28 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr });
    });
  });
}

/** What stock SQLite prints for `sql` on a file. */
export async function stock(file, sql) {
  const done = await run("sqlite3", "-batch", "-cmd", ".timeout 15000", file, sql);
  if (done.code !== 0) throw new Error(`sqlite3 on ${file}: ${done.stderr}`);
  return done.stdout.trimEnd();
}

class Daemon {
  #process;
  #log;

  constructor(log) {
    this.#log = log;
  }

  async start(args) {
    const log = await open(this.#log, "a");
    // Whatever ends the test also ends the daemon.
    this.#process = spawn("setpriv", ["--pdeathsig", "TERM", program, ...args], {
      stdio: ["ignore", "ignore", log.fd],
    });
    await log.close();
  }

  async stop(signal = "SIGTERM") {
    const ended = this.#process;
    if (ended.exitCode !== null || ended.signalCode !== null) return;
    const exit = new Promise((resolve) => ended.once("exit", resolve));
    process.kill(ended.pid, signal);
    await exit;
  }

  log() {
    return readFile(this.#log, "utf8");
  }

  /** Waits for a line of the log, and gives the match back. */
  logged(pattern) {
    return until(async () => {
      if (this.#process.exitCode !== null) throw new Error(`walferry ended: ${await this.log()}`);
      return pattern.exec(await this.log());
    }, `"${pattern}" in ${this.#log}`);
  }
}

class PublishedDatabase {
  #primary;
  #follower;
  #port = 0;
  #version = 1;
  #beside;

  constructor(directory, beside) {
    this.#beside = beside;
    this.file = join(directory, "app.db");
    this.replica = join(directory, "replica.db");
    this.#primary = new Daemon(join(directory, "primary.log"));
    this.#follower = new Daemon(join(directory, "follower.log"));
  }

  /** The server's root, which is its database where it has one only. */
  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The database by its path. */
  get named_url() {
    return `${this.url}/db/app.db`;
  }

  /** At the same port as before, if there was one. */
  async start() {
    const paths = [this.file, ...this.#beside];
    await this.#primary.start(["serve", ...paths, "--listen", `127.0.0.1:${this.#port}`]);
    if (this.#port === 0) {
      const [, port] = await this.#primary.logged(/serving app\.db at http:\/\/127\.0\.0\.1:(\d+)/);
      this.#port = Number(port);
    } else {
      await until(() => fetch(`${this.url}/v2`).then((answer) => answer.ok, () => false), "an answer");
    }
  }

  async stop() {
    await this.#primary.stop();
  }

  async follow() {
    await this.#follower.start(["replicate", this.named_url, this.replica]);
  }

  /** Waits until the replica has what was committed before, then compares it page for page. */
  async verify() {
    await stock(this.file, `PRAGMA user_version=${++this.#version}`);
    await until(
      async () =>
        (await run("sqlite3", "-readonly", this.replica, "PRAGMA user_version")).stdout.trim() ===
        String(this.#version),
      "the last commit on the replica",
    );
    const verified = await run(program, "verify", this.replica, this.named_url);
    if (verified.code !== 0) {
      throw new Error(`verify: exit code ${verified.code}\n${verified.stdout}${verified.stderr}`);
    }
    return verified.stdout;
  }

  async end() {
    try {
      await this.verify();
    } finally {
      await this.#follower.stop();
      await this.#primary.stop();
    }
  }
}

/**
 * `schema` is run by stock SQLite before the database is published. `beside` are the names of other
 * databases that the same server publishes; their schema is the same.
 */
export async function publish(t, schema = "", beside = []) {
  const directory = await mkdtemp(join(tmpdir(), "walferry-interop-"));
  atEnd(t, () => rm(directory, { recursive: true, force: true }));
  const others = beside.map((name) => join(directory, name));
  const published = new PublishedDatabase(directory, others);
  for (const file of [published.file, ...others]) {
    await stock(file, `PRAGMA journal_mode=WAL; PRAGMA user_version=1; ${schema}`);
  }
  await published.start();
  await published.follow();
  atEnd(t, () => published.end());
  return published;
}

/** A client as the user's document makes them. */
export function connect(t, published, settings = {}) {
  const client = createClient({ url: published.url, authToken: "eyJhbGc...", ...settings });
  atEnd(t, () => client.close());
  return client;
}

/** The rows as plain arrays. */
export function plain(result) {
  return result.rows.map((row) => Array.from(row));
}

/** For assert.rejects: the client's error has this code, and its message this text. */
export function failsWith(code, message = /./) {
  return (error) => {
    if (error.code !== code || !message.test(error.message)) {
      throw new Error(`expected ${code} ${message}, got ${error.code}: ${error.message}`);
    }
    return true;
  };
}
