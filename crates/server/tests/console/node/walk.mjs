// The seed, walked by a person: first run, sign-in with an authenticator app, create, copy, generate, see the use
// appear, regenerate, delete. PUBLIC, INTERNAL and LINK tell where; SCHEME, WIDTH and SCRIPT how; PICTURES where to
// put what was seen.
import { Person, code, halfMinute, same } from "./person.mjs";

const { PUBLIC, INTERNAL, LINK, SCHEME, WIDTH, SCRIPT, PICTURES } = process.env;
const person = await Person.start(PUBLIC, {
  scheme: SCHEME ?? "light", width: Number(WIDTH ?? 1440), script: SCRIPT !== "off", pictures: PICTURES,
});
const { page } = person;

const check = async (token, product = "e-invoice") => {
  const answer = await fetch(`${INTERNAL}/check/sandbox/${product}`, { headers: { "x-cleartax-auth-token": token } });
  return answer.status === 200 ? "permit" : (await answer.json()).errors[0].error_code;
};

// Refusals that the walk provokes are no complaints.
person.waived = /status of (401|403|404|409|422)/;

await person.open("/console");
await person.reads("No operator can sign in yet");
await person.look("first-run");

await person.open(LINK);
await person.fill("Your e-mail address", "asha@example.com");
await person.fill("Your name", "Asha Rao");
await person.fill("Choose a password", "password123");
await person.fill("The same password again", "password123");
await person.press("Join");
await person.reads("easily guessed");
await person.look("join-refused");
await person.fill("Choose a password", "plum-tractor-7-galaxy");
await person.fill("The same password again", "plum-tractor-7-galaxy");
await person.press("Join");
await person.reads("Begin with a workspace");
await person.look("workspaces-empty");
same(await person.open(LINK), 404, "the link works once");

await person.open("/console/account");
await person.reads("Only a password protects your account");
await person.look("account");
await person.follow("Add an authenticator app");
const key = await page.locator("#app-key").innerText();
await person.look("authenticator-app");
await person.fill("Code the app shows", code(key, halfMinute() - 20));
await person.press("Use this app");
await person.reads("not the code the app shows");
same(await page.locator("#app-key").innerText(), key, "the key after a wrong code");
const used = halfMinute();
await person.fill("Code the app shows", code(key, used));
await person.press("Use this app");
await person.reads("Recovery codes");
const recovery = await person.secret();
await person.look("recovery-codes");

await person.press("Sign out");
await person.fill("E-mail", "Asha@Example.com ");
await person.fill("Password", "plum-tractor-7-galaxY");
await person.press("Sign in");
await person.reads("wrong");
await person.look("sign-in-refused");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.press("Sign in");
await person.fill("Code from your authenticator app", code(key, used));
await person.press("Go on");
await person.reads("used already");
await person.look("second-proof-refused");
await person.fill("Code from your authenticator app", code(key, Math.max(halfMinute(), used + 1)));
await person.press("Go on");
await person.reads("Begin with a workspace");

await person.follow("Products");
await person.look("products-empty");
for (const [slug, name] of [["gst", "GST"], ["max-itc", "Max ITC"], ["e-invoice", "E-Invoice"]]) {
  await person.fill("Slug", slug);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await person.press("Save");
  await person.reads("The product is saved");
}
await person.look("products");

await person.follow("Workspaces");
await person.follow("Create the first workspace");
await person.look("workspace-new");
await person.fill("Name", "Acme India");
await person.press("Create");
await person.reads("No API clients here yet");
await person.look("clients-empty");
same(await page.locator(".band span").first().innerText(), "Sandbox", "the environment's band");

await person.follow("Create the first API client");
await person.fill("Label", "SAP ECC India");
await page.getByLabel("Only these:").check();
await person.look("client-new");
await person.press("Create");
await person.reads("Tick at least one product");
same(await page.getByLabel("Label", { exact: true }).inputValue(), "SAP ECC India", "what was typed");
await person.look("client-new-refused");
await page.getByLabel("E-Invoice").check();
await page.getByLabel("GST").check();
await person.press("Create");
await person.reads("This is the only time its client secret is shown");
const secret = await person.secret();
await person.look("client-secret");
const download = page.waitForEvent("download");
await person.page.getByRole("link", { name: "Download .env" }).click();
const file = await (await download).createReadStream();
let dotenv = "";
for await (const chunk of file) dotenv += chunk;
same(dotenv.includes(`CLEARTAX_CLIENT_SECRET=${secret}\n`), true, "the .env holds the secret");

await person.follow("I have kept it: go to the API client");
const client = page.url();
await person.reads("No token yet");
await person.look("client-fresh");

const generate = async () => {
  const answer = await fetch(`${PUBLIC}/integration/v1/authz/token`, { headers: { "x-clear-client-secret": secret } });
  return (await answer.json()).access_token;
};
const first = await generate();
same(await check(first), "permit", "the first token");
same(await check(first, "max-itc"), "PRODUCT_NOT_ALLOWED", "another product");

await page.reload();
await person.reads("from 127.0.0.1 for E-Invoice");
const chart = page.locator("#chart-checks");
await chart.getByText("The figures as a table").click();
same(await chart.locator("tbody tr").first().locator("td").allInnerTexts().then((cells) => cells.join(" ")), "1 1", "the table of today's calls");
await person.look("client-used");

await person.follow("Generate access token");
await person.reads("Callers that use it get 401 at once. The API client made 1 successful request today");
await person.look("generate");
const again = await person.context.newPage();
await again.goto(page.url());
await person.press("Generate access token");
await person.reads("Access token, generation 2");
const second = await person.secret();
await person.look("access-token");
same(await check(first), "TOKEN_SUPERSEDED", "the first token after the second");
same(await check(second), "permit", "the second token");
await again.getByRole("button", { name: "Generate access token" }).click();
await again.getByText("a newer token was made meanwhile", { exact: false }).or(again.getByText("A newer token was made meanwhile")).first().waitFor();
await again.close();
same(await check(second), "permit", "the second token after the same form from another tab");

await person.open(client);
await person.reads("a superseded token from 127.0.0.1");
await person.look("client-charts");
await person.follow("Change settings");
await person.look("client-settings");
await page.getByLabel("E-Invoice").uncheck();
await person.press("Save");
await person.reads("in force");
same(await check(second), "PRODUCT_NOT_ALLOWED", "the live token after a narrower restriction");
await person.follow("Rotate: add a second secret");
await person.press("Make a new secret");
await person.follow("I have kept it: back to the API client");
await person.reads("Secret 2");
await person.follow("Delete secret 1");
await person.press("Delete the secret");
await person.reads("buys no token any more");
await person.look("client-rotated");
await person.follow("Revoke token");
await person.look("revoke");
await person.press("Revoke token");
await person.reads("The token is revoked");
same(await check(second, "gst"), "TOKEN_REVOKED", "the token after its revocation");
await person.follow("Disable");
await person.look("disable");
await person.press("Disable");
await person.reads("is disabled");
await person.follow("Enable");
await person.press("Enable");
await person.follow("Delete for good");
await person.fill("Type the label", "SAP ECC Indi");
await person.press("Delete for good");
await person.reads("type the API client's label back");
await person.look("delete-refused");
await person.open(`${client}/delete`);
await person.fill("Type the label", "SAP ECC India");
await person.press("Delete for good");
await person.reads("deleted for good");
await person.look("client-deleted");
same(await check(second, "gst"), "CLIENT_DELETED", "the token after the deletion");
// The way back leads to the form, which says that there is nothing left to delete.
await page.goBack();
await person.reads("deleted for good");
same(await page.getByRole("button", { name: "Delete for good" }).count(), 0, "the form behind the deletion");

await person.open("/console");
await person.reads("No API clients here yet");
await person.open(`${page.url().replace(/\?.*/, "").replace("production", "sandbox")}?state=deleted`);
await person.reads("SAP ECC India");
await person.look("clients-deleted");

await person.follow("Members");
await person.look("members");
await person.follow("Invite a member");
await person.look("invite");
await person.fill("E-mail address", "ravi@example.com");
await page.getByLabel("Role").selectOption("auditor");
await person.press("Invite");
await person.reads("is invited");
const invited = await person.secret();
await person.look("invited");
await person.follow("Back to the members");
await person.look("members-invited");
await person.follow("Revoke invitation for ravi@example.com");
await person.reads("stops working immediately");
await person.look("invitation-revoke");
await person.press("Revoke invitation");
await person.reads("withdrawn");
same(await person.open(invited), 404, "a withdrawn invitation");
await person.look("not-found");

await person.open("/console");
await person.follow("Notices");
await person.reads("no mail server is set up");
await person.fill("Address of a new webhook", "https://10.0.0.1/hook");
await person.press("Add a webhook");
await person.look("webhook-refused");
await person.fill("Address of a new webhook", "https://hooks.example.com/hook");
await person.press("Add a webhook");
await person.reads("The webhook is ready");
await person.look("webhook-secret");
await person.follow("I have kept it: back to the notices");
await person.press("Send a test to https://hooks.example.com/hook");
await person.reads("A test notice is on its way");
await person.look("notices");
await person.follow("Delete https://hooks.example.com/hook");
await person.reads("gets no more notifications");
await person.look("webhook-delete");
await person.press("Delete webhook");
await person.reads("The webhook is deleted");

await person.open("/console/admin-keys");
await person.look("admin-keys");
await person.follow("Make an admin key");
await person.look("admin-key-new");
await person.open("/console/audit");
await person.reads("client.delete");
await person.look("audit");
await person.press("Verify the chain");
await person.reads("are there and unaltered");
await person.look("audit-verified");
await person.open("/console/status");
await person.look("status");
await person.open("/console/settings");
await person.look("settings");

await person.open("/console/account");
await person.press("Sign out");
await person.fill("E-mail", "asha@example.com");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.press("Sign in");
await person.look("second-proof");
await person.fill("Code from your authenticator app", recovery);
await person.press("Go on");
await person.open("/console/account");
await person.reads("9 recovery codes left");
await person.end();
