// A person at a browser: signs in, walks, looks. Every page it comes to is checked by axe and, if a folder is named,
// photographed. What the browser complains of is an error.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Phrases that no page may contain; those about one template are for `words.rs`.
const old = readFileSync(new URL("../old_words.txt", import.meta.url), "utf8").split("\n")
  .filter((line) => line && !line.startsWith("#") && !line.includes(".html: "));

// What axe judges: by default whether the page is accessible. Where another walk shows the same pages to it in other colours, the
// colours; where one shows the same in the same colours, nothing.
const JUDGED = {
  all: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], colours: ["color-contrast"], nothing: null,
};

// Chromium asks the internet for things nobody here wants; and as root it has no sandbox.
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** The half minute it is, as authenticator apps count. */
export const halfMinute = () => Math.floor(Date.now() / 30000);

/** The code an authenticator app shows for a key in base32 (RFC 6238) in a half minute. */
export function code(key, step) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...key.replaceAll(" ", "")].map((c) => letters.indexOf(c).toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const hash = createHmac("sha1", bytes).update(counter).digest();
  const at = hash[19] & 15;
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
}

export class Person {
  static async start(base, { scheme = "light", width = 1440, script = true, judged = "all", pictures = "", wanted = null, prefix = "" } = {}) {
    if (!(judged in JUDGED)) throw new Error(`JUDGED is ${judged}`);
    const browser = await chromium.launch({ executablePath: "/usr/bin/chromium-headless-shell", args: ARGUMENTS });
    const context = await browser.newContext({
      baseURL: base, colorScheme: scheme, javaScriptEnabled: script,
      viewport: { width, height: width < 500 ? 844 : 900 },
    });
    const person = new Person();
    Object.assign(person, { browser, context, script, width, judged: JUDGED[judged], pictures, wanted, prefix, complaints: [], seen: [], waived: /$^/ });
    person.page = await context.newPage();
    person.watch(person.page);
    return person;
  }

  watch(page) {
    page.on("console", (message) => {
      if (message.type() === "error" && !this.waived.test(message.text())) this.complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error}`));
  }

  /** Looks at the page: names it, checks it, photographs it. */
  async look(name) {
    const page = this.page;
    this.seen.push(name);
    const picture = this.prefix + name;
    if (this.pictures && (!this.wanted || this.wanted.includes(picture))) {
      await page.screenshot({ path: `${this.pictures}/${picture}.png`, fullPage: true });
    }
    const wide = await page.locator("body").evaluate((body) => body.scrollWidth - innerWidth).catch(() => 0);
    if (wide > 1) this.complaints.push(`${name}: ${wide} pixels wider than the window`);
    // At 200 % zoom half the width is left.
    if (this.width > 1000) {
      await page.setViewportSize({ width: this.width / 2, height: 450 });
      const zoomed = await page.locator("body").evaluate((body) => body.scrollWidth - innerWidth).catch(() => 0);
      if (zoomed > 1) this.complaints.push(`${name}: ${zoomed} pixels wider than the window at 200 % zoom`);
      await page.setViewportSize({ width: this.width, height: 900 });
    }
    const text = await page.locator("body").innerText();
    for (const phrase of old) if (text.includes(phrase)) this.complaints.push(`${name}: the page says "${phrase}"`);
    // axe is a script: where the page may run none, it looks through a second window of the same session instead.
    if (this.script && this.judged) {
      const found = await page.evaluate(`${axe}; axe.run(document, { runOnly: ${JSON.stringify(this.judged)} })`);
      for (const { id, impact, nodes } of found.violations) {
        if (impact === "serious" || impact === "critical" || impact === "moderate") this.complaints.push(`${name}: axe ${impact} ${id}: ${nodes[0].html}`);
      }
    }
  }

  async open(path) {
    const answer = await this.page.goto(path);
    return answer.status();
  }

  fill(label, text) {
    return this.page.getByLabel(label, { exact: false }).first().fill(text);
  }

  async press(name) {
    await this.page.getByRole("button", { name, exact: true }).first().click();
    await this.page.waitForLoadState();
  }

  async follow(name) {
    await this.page.getByRole("link", { name, exact: true }).first().click();
    await this.page.waitForLoadState();
  }

  async reads(text, part = this.page) {
    const found = part.getByText(text, { exact: false }).first();
    await found.waitFor({ timeout: 10000 }).catch(async () => {
      throw new Error(`the page at ${this.page.url()} does not say "${text}":\n${await this.page.locator("main").innerText()}`);
    });
  }

  /** Does something again until the page says a text: what one node has, another one shows a moment later or not at all. */
  async readsAfter(act, text, part = this.page) {
    const until = Date.now() + 15000;
    do await act();
    while (!(await part.getByText(text, { exact: false }).count()) && Date.now() < until);
    await this.reads(text, part);
  }

  readsReloaded(text, part = this.page) {
    return this.readsAfter(() => this.page.reload(), text, part);
  }

  async secret() {
    return (await this.page.locator(".secret code").first().innerText()).trim();
  }

  async end() {
    await this.browser.close();
    if (this.complaints.length) throw new Error(`${this.complaints.length} complaints:\n${this.complaints.join("\n")}`);
    console.log(JSON.stringify({ pages: this.seen }));
  }
}

export const same = (found, expected, what) => {
  if (found !== expected) throw new Error(`${what}: ${found}, not ${expected}`);
};
