// What stands for SAP's kernel when the transpiled package runs in Node: the logon, AUTHORITY-CHECK, the enqueue server,
// RFC into a session of its own, SM59 destinations, the texts of exceptions. The transpiled start-up calls `before`. Without a
// set-up (environment variable TOKENWARD_SAP_BENCH, the path of a JSON file) it is one session on SQLite in memory, for
// ABAP Unit; with one it is a work process on PostgreSQL. Never runs inside SAP.
import { readFileSync } from "node:fs";
import databaseSqlite from "@abaplint/database-sqlite";
import pg from "pg";
import { WorkProcess } from "./database.mjs";

const file = process.env.TOKENWARD_SAP_BENCH;

/** The set-up: database, destinations, allowed, patient and sabotage. Every part may be left out. */
export const bench = file ? JSON.parse(readFileSync(file, "utf8")) : {};

let abap;

/** Called by the transpiled start-up before any ABAP is loaded. */
export async function before(runtime, schemas) {
  abap = runtime;
  const database = await openDatabase();
  abap.context.databaseConnections.DEFAULT = database;
  if (!bench.database) {
    await database.execute(schemas.sqlite);
  } else if (bench.create) {
    await database.execute(schemas.pg);
    await database.commit();
  }
  const sy = abap.builtin.sy.get();
  sy.mandt.set("100");
  sy.sysid.set(bench.system ?? "TST");
  sy.uname.set("BENCH");
  globalThis.sapKernel = { exceptionText, hasDestination, http };
  abap.Classes.KERNEL_AUTHORITY_CHECK = { call: authorityCheck };
  abap.context.RFCDestinations.NONE = { call: ownSession };
  abap.Classes.KERNEL_LOCK = await enqueueServer();
  if (bench.patient) {
    await waitForAToken();
  }
}

/** Longest wait of a patient session, in milliseconds. */
const PATIENCE = 120_000;

/**
 * A patient session's WAIT lasts until a token that no API has refused is in the table: what sessions do for each other must
 * not depend on how fast the machine is.
 */
async function waitForAToken() {
  const connection = new pg.Client({ connectionString: bench.database });
  await connection.connect();
  const stored = async () => {
    const sql = "SELECT 1 FROM ztkw_tokens WHERE access_token <> '' AND serial <> dead_serial";
    return (await connection.query(sql)).rows.length > 0;
  };
  const wait = abap.statements.wait.bind(abap.statements);
  abap.statements.wait = async (options) => {
    const deadline = Date.now() + PATIENCE;
    do {
      await wait(options);
    } while (!await stored() && Date.now() < deadline);
  };
}

async function openDatabase() {
  const database = bench.database
    ? new WorkProcess(bench.database)
    : new databaseSqlite.SQLiteDatabaseClient();
  await database.connect();
  return database;
}

/** Who may do what: `allowed` lists alias and activity, such as "EINVOICE 16"; without it everything is allowed. */
async function authorityCheck({ object, fields }) {
  const value = (id) => {
    const field = fields.find((one) => one.id.get().trimEnd() === id);
    return field?.field.get().trimEnd();
  };
  const asked = `${value("ZTKW_ALIAS")} ${value("ACTVT")}`;
  const allowed = object.get().trimEnd() === "ZTKW_TOKEN"
    && (bench.allowed === undefined || bench.allowed.includes(asked));
  abap.builtin.sy.get().subrc.set(allowed ? 0 : 4);
}

/**
 * DESTINATION 'NONE': the same program in another session, so with another database connection; its values are copied
 * both ways. SQLite in memory has one connection only, so there it is the caller's LUW: what depends on that is tested
 * on PostgreSQL.
 */
async function ownSession(name, parameters) {
  const outer = abap.context.databaseConnections.DEFAULT;
  const module = abap.FunctionModules[name];
  const exporting = {};
  for (const [key, one] of Object.entries(parameters.exporting ?? {})) {
    exporting[key] = one.clone();
  }
  if (!bench.database) {
    await module({ ...parameters, exporting });
    return;
  }
  const inner = await openDatabase();
  abap.context.databaseConnections.DEFAULT = inner;
  try {
    await module({ ...parameters, exporting });
    await inner.commit();
  } finally {
    abap.context.databaseConnections.DEFAULT = outer;
    await inner.disconnect();
  }
}

/**
 * The enqueue server, which the function modules generated from lock object EZTKW_TOKENS ask: PostgreSQL's advisory locks,
 * held by a connection of their own as SAP's locks are by no database transaction; alone in a process, a set.
 */
async function enqueueServer() {
  const own = new Set();
  // For tests of what a session does while another one holds the lock.
  globalThis.sapKernel.foreignLock = (alias, held) =>
    (held ? own.add(`100 ${alias}`) : own.delete(`100 ${alias}`));
  let connection;
  if (bench.database) {
    connection = new pg.Client({ connectionString: bench.database });
    await connection.connect();
  }
  const ask = async (what, lock) => {
    const sql = `SELECT ${what}(hashtextextended($1, 0)) AS done`;
    const { rows } = await connection.query(sql, [lock]);
    return rows[0].done;
  };
  const argument = ({ mandt, client_alias: alias }) => `${mandt.get()} ${alias.get().trimEnd()}`;
  const working = bench.sabotage !== "no lock";
  return {
    async enqueue({ input }) {
      const lock = argument(input);
      const held = !working
        || (connection ? await ask("pg_try_advisory_lock", lock) : !own.has(lock));
      if (!held) {
        throw new abap.ClassicError({ classic: "FOREIGN_LOCK" });
      }
      own.add(lock);
    },
    async dequeue({ input }) {
      const lock = argument(input);
      own.delete(lock);
      if (working && connection) {
        await ask("pg_advisory_unlock", lock);
      }
    },
  };
}

/** The text of an exception with a T100 key, in English, as MESSAGE would build it. */
function exceptionText(exception) {
  const key = exception.if_t100_message$t100key?.get();
  if (!key) {
    return exception.constructor.name;
  }
  const texts = abap.MSAG[key.msgid.get().trimEnd()] ?? {};
  let text = texts[key.msgno.get()] ?? `no message ${key.msgno.get()}`;
  for (const number of [1, 2, 3, 4]) {
    const name = key[`attr${number}`].get().trimEnd().toLowerCase();
    text = text.replaceAll(`&${number}`, exception[name]?.get().trimEnd() ?? "");
  }
  return text;
}

/** Destinations by name: `url`, and `user` with `password` for HTTP Basic, as SM59 keeps them. */
function destination(name) {
  return bench.destinations?.[name.trimEnd()];
}

function hasDestination(name) {
  return destination(name) !== undefined;
}

/** How often each destination answered with each status; 0 for no answer. */
export const answers = {};

function count(name, status) {
  const key = `${name.trimEnd()} ${status}`;
  answers[key] = (answers[key] ?? 0) + 1;
}

/** One HTTP exchange; false when there was no answer. */
async function http(name, request, response) {
  const { url, user, password } = destination(name);
  const headers = {};
  for (const row of request.fields.array()) {
    const field = row.get();
    if (!field.name.get().startsWith("~")) {
      headers[field.name.get()] = field.value.get();
    }
  }
  if (user !== undefined) {
    headers.authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  }
  const text = (value) => new abap.types.String().set(value);
  const uri = (await request.if_http_request$get_header_field({ name: text("~request_uri") })).get();
  try {
    const method = request.method.get() || "GET";
    const body = method === "GET" ? undefined : request.body.get();
    const answer = await fetch(url + uri, { method, headers, body, redirect: "manual" });
    count(name, answer.status);
    if (bench.sabotage === "die after generating" && name.trimEnd() === "TOKENWARD") {
      process.kill(process.pid, "SIGKILL");
    }
    response.status.set(answer.status);
    response.body.set(await answer.text());
    for (const [field, value] of answer.headers) {
      await response.if_http_request$set_header_field({ name: text(field), value: text(value) });
    }
    return true;
  } catch {
    count(name, 0);
    return false;
  }
}
