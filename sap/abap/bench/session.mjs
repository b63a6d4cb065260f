// One SAP session for the tests: a process that has the transpiled package loaded and does what it is told, one JSON object a
// line on standard input, one answer a line on standard output. Answers hold texts, figures and digests, never a token.
// Its set-up is in the file that TOKENWARD_SAP_BENCH names. Never runs inside SAP.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { answers, bench } from "./kernel.mjs";
import "../output/init.mjs";

const abap = globalThis.abap;
const text = (value) => new abap.types.String().set(value ?? "");
const flag = (value) => new abap.types.Character(1).set(value ? "X" : " ");
const alias = new abap.types.Character(30).set(bench.alias ?? "EINVOICE");
const digest = (token) => createHash("sha256").update(token).digest("hex").slice(0, 16);

const tokenward = async () => (await abap.Classes.ZCL_TOKENWARD.of({ alias })).get();
const admin = async () => new abap.Classes.ZCL_TKW_ADMIN().constructor_({ alias });
const database = () => abap.context.databaseConnections.DEFAULT;

/** The components of a structure as plain values. */
function plain(structure) {
  const entries = Object.entries(structure.get()).map(([name, value]) => {
    const one = value.get();
    return [name, typeof one === "string" ? one.trimEnd() : Number(one)];
  });
  return Object.fromEntries(entries);
}

const DOES = {
  /** Saves the alias as the customising report does. */
  async save({ client, secret }) {
    const row = abap.DDIC.ZTKW_CLIENTS.type();
    for (const [name, value] of Object.entries(client)) {
      row.get()[name].set(value);
    }
    await (await admin()).save({ client: row, secret: text(secret) });
    return {};
  },

  /** Calls an API through destination API: the statuses that the application saw. */
  async call({ path, times }) {
    const statuses = [];
    const leftovers = [];
    for (let number = 0; number < times; number += 1) {
      const client = new abap.types.ABAPObject();
      await abap.Classes.CL_HTTP_CLIENT.create_by_destination({
        destination: text("API"), client,
      });
      const http = client.get();
      await abap.Classes.CL_HTTP_UTILITY.set_request_uri({
        request: http.if_http_client$request, uri: text(path),
      });
      const status = await (await tokenward()).call({ http_client: client });
      statuses.push(status.get());
      const name = text("x-cleartax-auth-token");
      const request = http.if_http_client$request.get();
      leftovers.push((await request.if_http_request$get_header_field({ name })).get() !== "");
    }
    return { statuses, header_left: leftovers.includes(true) };
  },

  async get({ may_renew: mayRenew = true }) {
    const token = await (await tokenward()).get({ may_renew: flag(mayRenew) });
    return { digest: digest(token.get()) };
  },

  async renew_ahead() {
    return { outcome: (await (await tokenward()).renew_ahead()).get() };
  },

  async refused() {
    const one = await tokenward();
    const before = (await one.get()).get();
    const next = (await one.refused({ token: text(before) })).get();
    return { same: before === next, digest: digest(next) };
  },

  async test() {
    return plain(await (await admin()).test());
  },

  async generate() {
    await (await admin()).generate();
    return {};
  },

  async revoke() {
    await (await admin()).revoke();
    return {};
  },

  async remove() {
    await (await admin()).remove();
    return {};
  },

  async state() {
    return plain(await (await admin()).state());
  },

  /** A change of the caller's own, in the caller's LUW. */
  async sql({ statement }) {
    const result = await database().pool.query(statement);
    return { rows: result.rows };
  },

  async commit_work() {
    await abap.statements.commit();
    return {};
  },

  async rollback_work() {
    await abap.statements.rollback();
    return {};
  },

  async answers() {
    return { answers };
  },
};

function told(error) {
  if (error.if_t100_message$t100key === undefined) {
    return { broken: String(error.stack ?? error) };
  }
  return {
    error: {
      class: error.constructor.INTERNAL_NAME,
      number: error.if_t100_message$t100key.get().msgno.get(),
      text: globalThis.sapKernel.exceptionText(error),
    },
  };
}

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line);
  let answer;
  try {
    answer = await DOES[wish.do](wish);
  } catch (error) {
    answer = told(error);
  }
  console.log(JSON.stringify(answer));
}
process.exit(0);
