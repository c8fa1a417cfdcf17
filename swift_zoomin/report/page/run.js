"use strict";
// Sorts, filters, and moves by keys. All that is shown stands in the page already; nothing is made here.

const byId = (id) => document.getElementById(id);
const list = byId("entries");
const entries = [...list.children].map((element, place) => ({
  element,
  place,
  ...element.dataset,
  score: element.dataset.score === "" ? null : Number(element.dataset.score),
  name: element.querySelector(".name").textContent,
  labels: [...element.querySelectorAll(".label:not(.quiet)")].map((label) => folded(label.textContent)),
}));
let shown = entries; // in the order of the page

function folded(text) {
  return text.toLowerCase().normalize("NFKC");
}

function textOf(entry) {
  entry.text ??= folded(entry.element.textContent);
  return entry.text;
}

// ---- sorting ----

const compareNames = new Intl.Collator("en", { numeric: true }).compare;
const isChanged = ({ change }) => change !== "" && change !== "same";
// What is absent comes last, whichever way the rest goes.
const compareScores = (one, other, way) =>
  (one.score === null) - (other.score === null) || way * ((one.score ?? 0) - (other.score ?? 0));
const ORDERS = {
  place: () => 0,
  name: (one, other) => compareNames(one.name, other.name),
  verdict: (one, other) => compareNames(one.verdict, other.verdict),
  highest: (one, other) => compareScores(one, other, -1),
  lowest: (one, other) => compareScores(one, other, 1),
  change: (one, other) => isChanged(other) - isChanged(one) || compareNames(one.change, other.change),
  label: (one, other) =>
    !one.labels.length - !other.labels.length || compareNames(one.labels[0] ?? "", other.labels[0] ?? ""),
  error: (one, other) => compareNames(other.error, one.error),
};

function sort() {
  const order = ORDERS[byId("sort").value];
  const sorted = entries.toSorted((one, other) => order(one, other) || one.place - other.place);
  if (sorted.some((entry, place) => entry.element !== list.children[place])) {
    list.append(...sorted.map((entry) => entry.element));
  }
  return sorted;
}

// ---- filtering ----

function valueOf(id) {
  return byId(id)?.value ?? ""; // a filter that nothing on this page could pass is not there
}

function passes() {
  const [verdict, change, error] = [valueOf("by-verdict"), valueOf("by-change"), valueOf("by-error")];
  const [decision, annotation, depends] = [valueOf("by-decision"), valueOf("by-annotation"), valueOf("by-depends")];
  const [from, to] = [valueOf("from"), valueOf("to")];
  const [label, text] = [folded(valueOf("by-label").trim()), folded(valueOf("by-text").trim())];
  return (entry) =>
    (!verdict || entry.verdict === verdict) &&
    (!change || (change === "changed" ? isChanged(entry) : entry.change === change)) &&
    (!error || entry.error === error) &&
    (!decision || entry.decision === decision) &&
    (!annotation || entry.annotation === annotation) &&
    (!depends || entry.depends === depends) &&
    (from === "" || (entry.score !== null && entry.score >= Number(from))) &&
    (to === "" || (entry.score !== null && entry.score <= Number(to))) &&
    (!label || entry.labels.some((one) => one.includes(label))) &&
    (!text || textOf(entry).includes(text));
}

function update() {
  const isShown = passes();
  const sorted = sort();
  for (const entry of sorted) entry.element.hidden = !isShown(entry);
  shown = sorted.filter((entry) => !entry.element.hidden);
  byId("none").hidden = shown.length > 0;
  byId("status").textContent =
    shown.length === entries.length ? `All ${entries.length} shown.` : `${shown.length} of ${entries.length} shown.`;
}

// ---- moving ----

// The image that has the focus, or else the first that is in the window.
function currentPlace() {
  const focused = shown.findIndex((entry) => entry.element === document.activeElement);
  if (focused >= 0) return focused;
  const seen = shown.findIndex((entry) => entry.element.getBoundingClientRect().bottom > 0);
  return seen < 0 ? shown.length : seen - 0.5; // so that the next one is this one
}

function move(by) {
  const place = by > 0 ? Math.floor(currentPlace()) + 1 : Math.ceil(currentPlace()) - 1;
  go(Math.min(Math.max(place, 0), shown.length - 1));
}

function go(place) {
  const target = shown[place];
  if (!target) return;
  target.element.focus({ preventScroll: true });
  target.element.scrollIntoView({ block: "start" });
}

function toggleBoxes() {
  document.body.classList.toggle("without-boxes");
}

function search() {
  byId("fold").open = true;
  byId("by-text").focus();
}

function toggleHelp() {
  byId("fold").open = true;
  byId("help").open = !byId("help").open;
  byId("help").scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  b: toggleBoxes,
  "/": search,
  "?": toggleHelp,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !byId("keys-on").checked) return;
  if (event.target.matches("input:not([type='checkbox'])") && event.key === "Enter") go(0);
  if (event.target.matches("select, input")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!Object.hasOwn(KEYS, key)) return;
  event.preventDefault();
  KEYS[key]();
}

function start() {
  const tools = byId("tools");
  tools.hidden = false;
  tools.addEventListener("input", ({ target }) => { if (target.id !== "keys-on") update(); });
  tools.addEventListener("reset", () => setTimeout(update)); // once the fields are empty
  tools.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", onKey);
  const hasRoom = matchMedia("(min-width: 48rem)");
  const unfold = () => { byId("fold").open = hasRoom.matches; };
  hasRoom.addEventListener("change", unfold);
  unfold();
  update(); // a browser that comes back to the page may have kept what was chosen
}

start();
