// The style page: every component of the console in both themes, at three widths, judged by axe and photographed. Each
// class of the style sheet has a place on it, so that none goes unseen.
import { readFileSync } from "node:fs";
import { Person } from "./person.mjs";

const { PUBLIC, PICTURES } = process.env;
const css = readFileSync(new URL("../../../assets/console.css", import.meta.url), "utf8");
const html = readFileSync(new URL("../style.html", import.meta.url), "utf8");

const named = new Set([...css.replace(/\/\*[^]*?\*\//g, "").matchAll(/\.(-?[_a-zA-Z][\w-]*)/g)].map((found) => found[1]));
const shown = new Set([...html.matchAll(/class="([^"]*)"/g)].flatMap((found) => found[1].split(" ")));
const missing = [...named].filter((name) => !shown.has(name));
if (missing.length) throw new Error(`tests/console/style.html shows no ${missing.join(", ")}`);

const pages = [];
for (const scheme of ["light", "dark"]) {
  for (const width of [1440, 720, 390]) {
    const person = await Person.start(PUBLIC, { scheme, width, pictures: PICTURES });
    // The server's own pages run under a policy that allows no inline script, which axe would be.
    await person.page.setContent(html.replace("</head>", `<style>${css}</style></head>`));
    await person.look(`style-${scheme}-${width}`);
    pages.push(...person.seen);
    if (person.complaints.length) throw new Error(person.complaints.join("\n"));
    await person.browser.close();
  }
}
console.log(JSON.stringify({ pages }));
