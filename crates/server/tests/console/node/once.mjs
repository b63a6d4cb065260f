// A page that shows a secret: reloaded, left and come back to, it shows none, and no form is sent again.
import { Person, same } from "./person.mjs";

const { PUBLIC, LINK } = process.env;
const person = await Person.start(PUBLIC, {});
const { page } = person;
// Browsers keep pages only where they expect to come back.
let caching = "";
page.on("response", (response) => { if (response.request().method() === "POST") caching = response.headers()["cache-control"] ?? ""; });

await person.open(LINK);
await person.fill("Email", "asha@example.com");
await person.fill("Name", "Asha Rao");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.fill("Confirm password", "plum-tractor-7-galaxy");
await person.press("Create account");

const makeKey = async (name) => {
  await person.open("/console/admin-keys/new");
  await person.fill("Name", name);
  await page.locator("select[name=role]").selectOption("auditor");
  await person.press("Create admin key");
  await page.locator(".secret code").first().waitFor();
  same(caching, "no-store", "the caching of the page with the secret");
  return person.secret();
};
const holds = async (secret) => (await page.content()).includes(secret);
const keys = async () => {
  await person.open("/console/admin-keys");
  return page.locator("tbody tr", { hasText: "key-" }).count();
};

const reloaded = await makeKey("key-reloaded");
same(await holds(reloaded), true, "the page shows the secret");
await page.reload();
same(await holds(reloaded), false, "the reloaded page shows the secret");
same(new URL(page.url()).pathname, "/console/admin-keys", "where reloading leads");
same(await keys(), 1, "keys after reloading");

const left = await makeKey("key-left");
await page.locator(".acts a.main").click();
await page.waitForLoadState();
await page.goBack();
same(await holds(left), false, "the page come back to shows the secret");
same(await keys(), 2, "keys after coming back");

// What the browser would keep of the page, whatever it decides by the header.
const kept = await makeKey("key-kept");
await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
same(await holds(kept), false, "the kept page holds the secret");
await person.reads("Not shown again");
await person.end();
