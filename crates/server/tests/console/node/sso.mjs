// Single sign-on with a real provider: a member is let in, once known by the provider's own name for them; somebody
// who is no member, or whose address is not verified, is not.
import { Person, same } from "./person.mjs";

const { PUBLIC, LINK } = process.env;
const named = (address) => address.replace("127.0.0.1", "localhost");
const person = await Person.start(named(PUBLIC), { pictures: process.env.PICTURES });
const { page } = person;
// The provider's own pages are not ours to judge, nor are refusals.
person.waived = /status of 40\d|Content Security Policy|favicon|ERR_NAME_NOT_RESOLVED/;

await person.open(named(LINK));
await person.fill("Email", "asha@example.com");
await person.fill("Name", "Asha Rao");
await person.fill("Password", "plum-tractor-7-galaxy");
await person.fill("Confirm password", "plum-tractor-7-galaxy");
await person.press("Create account");
await person.press("Sign out");
await person.look("sign-in-with-sso");

const through = async (account) => {
  await person.context.clearCookies();
  await person.open("/console/sign-in?next=/console/account");
  await person.follow("Sign in with Example login");
  await page.locator("input[name=login]").fill(account);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL(/\/console\//);
};

await through("asha-unverified");
await person.reads("did not confirm a verified email address");
await person.look("sso-refused");
await through("nobody");
await person.reads("You have no account here");

await through("asha");
await person.reads("Active sessions");
await person.open("/console/members");
await person.reads("single sign-on");

// Once known by its own name, another account with the same address is somebody else.
await through("asha-other");
await person.reads("You have no account here");
await through("asha");
await person.reads("Active sessions");

// An answer nobody asked for, and one to another browser's question.
await person.context.clearCookies();
same(await person.open("/console/sso/return?code=x&state=y"), 403, "an answer nobody asked for");
await person.open("/console/sso/start").catch(() => {});
same(await person.open("/console/sso/return?code=x&state=y"), 409, "an answer to another question");
await person.end();
