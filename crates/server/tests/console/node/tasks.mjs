// Six tasks of people who run Tokenward, done by the console alone, each timed: create an API client, find why a call
// failed from its error_id, find who still uses an old token, rotate a secret without an outage, take away a leaver's
// access, and prove who widened a client. The first is done by the keyboard alone. PUBLIC, INTERNAL and LINK tell where.
import { Person, same } from "./person.mjs";

const { PUBLIC, INTERNAL, LINK, PICTURES } = process.env;
const person = await Person.start(PUBLIC, { pictures: PICTURES });
const { page } = person;
person.waived = /status of (401|403|404|409|422)/;

const check = (token, product) => fetch(`${INTERNAL}/check/production/${product}`, { headers: { "x-cleartax-auth-token": token } });
const generate = async (secret) => {
  const answer = await fetch(`${PUBLIC}/integration/v1/authz/token`, { headers: { "x-clear-client-secret": secret } });
  return { status: answer.status, token: (await answer.json()).access_token };
};

const tasks = [];
const task = async (name, steps) => {
  const begun = Date.now();
  await steps();
  tasks.push({ name, milliseconds: Date.now() - begun });
};

/** Moves the focus by the Tab key until it is on something called `name`. */
const tabTo = async (name) => {
  for (let n = 0; n < 120; n++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const here = document.activeElement;
      return (here.labels?.[0]?.textContent ?? here.getAttribute("aria-label") ?? here.textContent ?? "").trim();
    });
    if (at.replace(/\s+/g, " ").split(" (")[0] === name || at.startsWith(`${name} `) || at.startsWith(`${name}\n`)) return;
  }
  throw new Error(`the Tab key never comes to "${name}" at ${page.url()}`);
};
const enter = () => Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);

await person.open(LINK);
await person.fill("Email", "asha@example.com");
await person.fill("Name", "Asha Rao");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.fill("Confirm password", "plum-tractor-7-galaxy");
await person.press("Create account");
await person.open("/console/products");
for (const [slug, name] of [["gst", "GST"], ["e-invoice", "E-Invoice"]]) {
  await person.fill("Slug", slug);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await person.press("Add product");
}
await person.open("/console/workspaces/new");
await person.fill("Name", "Acme India");
await person.press("Create workspace");
await person.reads("No API clients yet");
const place = page.url().match(/\/w\/([^/]+)/)[1];
await person.open(`/console/w/${place}/production`);

let secret = "";
await task("create an API client, by the keyboard", async () => {
  await tabTo("Create API client");
  await enter();
  await tabTo("Name");
  await page.keyboard.type("SAP ECC India");
  await tabTo("All current and future products");
  await page.keyboard.press("ArrowDown");
  await tabTo("GST");
  await page.keyboard.press("Space");
  await tabTo("Create API client");
  await enter();
  await person.reads("Copy the client secret now");
  secret = await person.secret();
});
await person.follow("Done");
const client = page.url();

const first = (await generate(secret)).token;
same((await check(first, "gst")).status, 200, "the first token");
const denied = (await (await check(first, "e-invoice")).json()).errors[0].error_id;
await task("find why a call failed from its error_id", async () => {
  await person.fill("Search by ID", denied);
  await person.press("Search");
  await person.reads("PRODUCT_NOT_ALLOWED");
  await person.follow("SAP ECC India");
  await person.reads("Product access");
});

const second = (await generate(secret)).token;
same((await check(first, "gst")).status, 401, "the replaced token");
await task("find who still uses an old token", async () => {
  await person.open(`/console/w/${place}/overview`);
  // Counts are written a moment later.
  await person.readsReloaded("Denied tokens in use");
  await person.follow("SAP ECC India");
  await person.reads("a replaced token from 127.0.0.1");
});

await task("rotate a secret without an outage", async () => {
  await person.open(client);
  await person.follow("Rotate secret");
  await person.fill("Note", "for the new server");
  await person.press("Create secret");
  const next = await person.secret();
  same((await check(second, "gst")).status, 200, "the token while there are two secrets");
  const third = await generate(next);
  same(third.status, 200, "the new secret");
  await person.follow("Done");
  await person.follow("Delete secret 1");
  await person.press("Delete client secret");
  await person.reads("Client secret deleted");
  same((await generate(secret)).status, 401, "the old secret");
  same((await check(third.token, "gst")).status, 200, "the token of the new secret");
});

await person.open("/console/members/invite");
await person.fill("Email", "ravi@example.com");
await page.getByLabel("Role").selectOption("operator");
await person.press("Create invitation link");
const invited = await person.secret();
const leaver = await Person.start(PUBLIC, {});
leaver.waived = person.waived;
await leaver.open(invited);
await leaver.fill("Name", "Ravi K");
await leaver.fill("Password", "granite-violin-88-otter");
await leaver.fill("Confirm password", "granite-violin-88-otter");
await leaver.press("Create account");
await leaver.open(`${client}/edit`);
await leaver.page.getByLabel("All current and future products").check();
await leaver.press("Save changes");
await leaver.reads("Changes saved");

await task("take away a leaver's access", async () => {
  await person.open("/console/members");
  await person.follow("Ravi K");
  await person.follow("Remove member");
  await person.press("Remove member");
  await person.reads("Member removed");
});
await leaver.open("/console/workspaces");
await leaver.reads("Sign in");

await task("prove who widened a client", async () => {
  await person.open(client);
  await person.follow("View all activity");
  await page.getByLabel("Action").fill("client.change");
  await person.press("Apply");
  const line = page.locator("tbody tr").first();
  // The leaver is gone, and the entry still names the person and both values.
  const text = await line.innerText();
  for (const part of ["ravi@example.com (removed member)", "changed the settings of", "SAP ECC India", "Product access", "gst", "all"]) {
    if (!text.includes(part)) throw new Error(`the entry does not say "${part}": ${text}`);
  }
  await person.press("Verify integrity");
  await person.reads("entries verified");
});

console.log(JSON.stringify({ tasks }));
await leaver.end();
await person.end();
