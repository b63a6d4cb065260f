// Passkeys, by a person with a device that has them (Chromium's own virtual authenticator): added, used as the second
// proof, used before a destructive act, removed. A code of recovery still lets in.
import { Person, same } from "./person.mjs";

const { PUBLIC, LINK } = process.env;
// A passkey belongs to a name.
const named = (address) => address.replace("127.0.0.1", "localhost");
const person = await Person.start(named(PUBLIC), { pictures: process.env.PICTURES });
const { page } = person;
person.waived = /status of (401|403|422)/;

const devices = await person.context.newCDPSession(page);
await devices.send("WebAuthn.enable");
const { authenticatorId } = await devices.send("WebAuthn.addVirtualAuthenticator", {
  options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
});

await person.open(named(LINK));
await person.fill("Email", "asha@example.com");
await person.fill("Name", "Asha Rao");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.fill("Confirm password", "plum-tractor-7-galaxy");
await person.press("Create account");
await person.open("/console/account");
await person.fill("Passkey name", "This laptop");
await person.look("account-passkey");
await person.press("Add passkey");
await person.reads("Passkey added");
await person.reads("Recovery codes");
const recovery = await person.secret();
await person.follow("Done");
await person.reads("This laptop");
await person.look("account-with-passkey");

const signIn = async () => {
  await person.open("/console/account");
  await person.press("Sign out");
  await person.fill("Email", "asha@example.com");
  await person.fill("Password", "plum-tractor-7-galaxy");
  await person.press("Sign in");
  await person.reads("Two-factor authentication");
};
await signIn();
await person.look("second-proof-passkey");
await person.press("Use a passkey");
await person.reads("Create your first workspace");
await person.open("/console/account");
await person.reads("used just now");

// The device refuses: the page says so, and a recovery code works.
await signIn();
await devices.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
await page.getByRole("button", { name: "Use a passkey" }).click();
await person.reads("No passkey was used");
await person.fill("Recovery code", recovery);
await person.press("Verify");
await person.reads("Create your first workspace");
await devices.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });

// What was answered once is worth nothing again.
let sent = "";
page.on("request", (request) => { if (request.url().endsWith("/console/sign-in/passkey")) sent = request.postData(); });
await signIn();
await person.press("Use a passkey");
await person.reads("Create your first workspace");
const replayed = await fetch(named(`${PUBLIC}/console/sign-in/passkey`), {
  method: "POST", body: sent, redirect: "manual",
  headers: { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin" },
});
same(replayed.status, 401, "a replayed answer");
same(replayed.headers.get("set-cookie"), null, "its cookie");

// Before a destructive act.
await person.open("/console/step-up?next=/console/admin-keys/new");
await person.look("step-up");
await person.press("Use a passkey");
await person.reads("Expires after (days)");

await person.open("/console/account");
await person.follow("Remove This laptop");
await person.look("passkey-remove");
await person.press("Remove passkey");
await person.reads("Passkey removed");
await person.press("Sign out");
await person.fill("Email", "asha@example.com");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.press("Sign in");
await person.reads("Create your first workspace");
await person.end();
