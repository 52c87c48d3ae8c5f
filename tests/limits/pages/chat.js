// The chat of clean.html and faults.html; its model is in it. `html.<fault>` plants what is no matter of style.
const html = document.documentElement, has = (fault) => html.classList.contains(fault);
const log = document.querySelector("#log"), composer = document.querySelector("textarea"), told = document.querySelector("[role=status]");
const stop = document.querySelector("#stop");
const TABLE = `<h2>A wide table</h2><p>What one city says of the others, and a <a href="#source">link to its source</a>.</p>
  <div class="scroll" tabindex="0"><table><tr>${"City Country Inhabitants Area Founded River Language Zone".split(" ").map((name) => `<th>${name}</th>`).join("")}</tr>
  <tr>${"Thessaloniki Greece 319,045 19.31 315 Gallikos Greek Eastern".split(" ").map((name) => `<td>${name}</td>`).join("")}</tr></table></div>
  <pre tabindex="0"><code>populations = {"Lisbon": 545_796, "Thessaloniki": 319_045, "Reykjavik": 139_875, "Porto": 231_800}</code></pre>
  <p>Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft</p>`;
const RAW = "## A wide table\n| City | Country |\n|---|---|\n**bold**";
let over = null;

function say(text) { if (!has("silent") && !has("aside")) told.textContent = text; }

function end(text) {
  clearInterval(over);
  document.body.classList.remove("answering");
  document.querySelector(".wait")?.remove();
  stop.hidden = true;
  composer.disabled = false;
  say(text);
}

function ask(text) {
  const asked = document.createElement("div"), answer = document.createElement("div"), wait = document.createElement("div");
  asked.className = "asked"; answer.className = "answer"; wait.className = "wait";
  asked.textContent = text;
  log.append(asked, answer, wait);
  document.body.classList.add("answering");
  stop.hidden = false;
  composer.value = "";
  composer.disabled = has("focus");
  say("Answering");
  const [, last, rate] = /count to (\d+)(?: at (\d+))?/.exec(text) ?? [];
  let number = 0;
  over = setInterval(() => {
    number += 1;
    if (last) answer.textContent += `${number} `;
    else if (/table/.test(text)) answer.innerHTML = TABLE;
    else answer.innerHTML = `<p>You said: ${text.replace("echo ", "")}</p>`;
    if (has("chatty")) told.textContent = answer.textContent;
    if (has("aside") && number === 11) told.textContent = "A tip, which tells nothing of the answer";
    if (!last || number >= last) end(/table/.test(text) && has("raw") ? RAW : "Answer complete");
  }, 1000 / (rate ?? 50));
}

document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (composer.value && !document.body.classList.contains("answering")) ask(composer.value);
});
composer.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  composer.form.requestSubmit();
});
stop.addEventListener("click", () => { end("Stopped"); composer.focus(); });
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !has("noesc") && !has("nostop") && document.body.classList.contains("answering")) end("Stopped");
});

if (has("nameless")) document.querySelector("#send").innerHTML = '<svg aria-hidden="true" width="16" height="16"><circle r="8"/></svg>';
if (has("nofit")) document.querySelector("meta[name=viewport]").content = "width=device-width, initial-scale=1";
if (has("nostop")) stop.tabIndex = -1;
if (has("nokeys")) composer.tabIndex = -1;
if (has("nofont")) document.querySelector("link[href='brand.css']").sheet.deleteRule(document.querySelector("link[href='brand.css']").sheet.cssRules.length - 1);
if (has("nologo")) document.querySelector("header img").remove();
if (has("noicon")) document.querySelector("link[rel=icon]").remove();
if (has("colours")) document.title = "A page";
if (has("nomark")) document.querySelector("style").textContent = document.querySelector("style").textContent.replace("--composer-radius:", "");
