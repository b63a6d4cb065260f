// What only saves a step: every act works without this file.
"use strict";

// Buttons that copy what stands beside them.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the text and copy it";
    }
    setTimeout(() => { button.textContent = before; }, 3000);
  });
}

// On a narrow screen the areas stand in one line: the current one is brought into sight.
const areas = document.querySelector(".areas");
const area = areas?.querySelector("[aria-current]");
if (area) areas.scrollLeft = area.offsetLeft + area.offsetWidth - areas.clientWidth + 24;

// The values of the bar under the pointer stand under the chart, for as long as it is there.
for (const chart of document.querySelectorAll(".chart")) {
  const readout = chart.querySelector(".readout");
  for (const bar of chart.querySelectorAll(".bar")) {
    const text = bar.querySelector("title").textContent;
    bar.addEventListener("pointerenter", () => { readout.textContent = text; readout.hidden = false; });
  }
}

// One box that selects all rows of a list.
for (const head of document.querySelectorAll(".chosen thead .tick")) {
  const boxes = [...head.closest("table").querySelectorAll("tbody .tick input")];
  const all = Object.assign(document.createElement("input"), { type: "checkbox" });
  all.setAttribute("aria-label", "Select all on this page");
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; });
  head.replaceChildren(all);
}

// A form that was refused: the reason is read out and is where the keyboard begins.
const faults = document.querySelector(".faults[tabindex]");
if (faults) faults.focus();

// A form that is on its way is not sent again by a nervous finger.
for (const form of document.querySelectorAll("form[method=post]:not(.passkey, [target])")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A page that shows a secret once: reloading it opens the page that comes next, and does not send the form again. The
// browser may keep the page to go back to it: what it keeps holds no secret.
const once = document.querySelector(".once");
if (once) {
  history.replaceState(null, "", document.querySelector(".acts a.main").href);
  addEventListener("pagehide", () => {
    for (const shown of document.querySelectorAll(".secret code, .snippet pre")) shown.textContent = "Not shown again";
    for (const file of once.querySelectorAll("a[download]")) file.remove();
    for (const kept of document.querySelectorAll("input[name=token]")) kept.value = "";
  });
}

// Passkeys: the server asks, the browser answers, and the answer goes out as a form.
for (const form of document.querySelectorAll("form.passkey")) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) break;
  form.hidden = false;
  for (const or of document.querySelectorAll(".passkey-or")) or.hidden = false;
  const fault = form.querySelector(".fault");
  const put = (name, value) => {
    const field = form.elements[name] ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name }));
    field.value = value;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault.hidden = true;
    try {
      const asked = await fetch(`${form.action}/options`, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!asked.headers.get("content-type")?.includes("json")) { location.href = "/console/step-up?next=" + encodeURIComponent(location.pathname); return; }
      const answer = await asked.json();
      if (!asked.ok) throw new Error(answer.why);
      const asks = answer.question.publicKey;
      const credential = form.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asks) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asks) });
      put("handle", answer.handle);
      put("credential", JSON.stringify(credential.toJSON()));
      form.submit();
    } catch (error) {
      fault.textContent = error.name === "NotAllowedError" ? "No passkey was used. Try again, or use another method." : error.message;
      fault.hidden = false;
    }
  });
}
