"use strict";
// One record at a time. What was decided is a Map from an image's name to "accept" or "reject"; `history` holds, for
// each decision or import, what stood there before: [[name, earlier decision or null], ...].

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const records = data.records;
const names = new Set(records.map((record) => record.name));
const isSample = data.total > records.length;
const DONE = { accept: "accepted", reject: "rejected" };
const MARKS = { accept: "✓", reject: "✗" };
const MOST_UNDONE = 1000;
const ZOOMS = [0.5, 1, 2, 3, 4, 6];
const NUMBER_PX = 20;

let decisions = new Map(Object.entries(data.decisions));
let history = [];
let current = 0; // index into records
let shown = []; // indices of the records that pass the filters
let showsBoxes = true;
let zoom = 1;
let isKept = true; // whether the browser keeps what is decided
let seen = digest(Object.entries(data.decisions)); // of the decisions that lay beside the records at the last visit
let saved = null; // digest of the decisions last downloaded

// ---- what is kept in the browser ----

function keep() {
  const { name } = records[current];
  const kept = { decisions: Object.fromEntries(decisions), history: history.slice(-MOST_UNDONE), current: name };
  const state = { ...kept, seen, saved };
  try {
    localStorage.setItem(data.key, JSON.stringify(state));
    isKept = true;
  } catch {
    isKept = false;
    complain("This browser keeps nothing of this page: download decisions.json before you close it.");
  }
}

function recall() {
  let state = null;
  try {
    state = JSON.parse(localStorage.getItem(data.key));
  } catch {
    return false; // nothing can be kept, which the first decision will say
  }
  if (!state) return false;
  decisions = new Map(Object.entries(state.decisions));
  ({ history, seen, saved } = state);
  // By its name: the records file may have been written again since, with more records or without this one.
  current = Math.max(0, records.findIndex((record) => record.name === state.current));
  return true;
}

// What tells decisions from others; the order does not matter. A sum of 32 bits is enough to see a change.
function digest(entries) {
  const text = JSON.stringify([...entries].sort());
  let sum = 0;
  for (let index = 0; index < text.length; index += 1) sum = (Math.imul(31, sum) + text.charCodeAt(index)) | 0;
  return sum;
}

// Decisions beside the records that this browser has neither seen there nor written, as from a colleague.
function takeNewDecisions() {
  const given = Object.entries(data.decisions);
  const found = digest(given);
  if (found === seen || found === saved) return;
  seen = found;
  const changes = ofThisPage(given).filter(([name, decision]) => decisions.get(name) !== decision);
  if (changes.length) {
    apply(changes);
    say(`Imported ${counted(changes.length, "decision")} from ${data.decisions_file} beside ${data.file}. Undo takes them back.`);
  }
  keep();
}

// A page of a sample cannot know the other records of the file: their decisions are kept as they are.
function ofThisPage(changes) {
  return isSample ? changes : changes.filter(([name]) => names.has(name));
}

// ---- deciding ----

function decide(decision) {
  if (!shown.length) return;
  const { name, title } = records[current];
  apply([[name, decision]]);
  const place = shown.indexOf(current);
  filter();
  // The record may have left the list, and the one after it then stands in its place.
  const next = shown[current === shown[place] ? place + 1 : place];
  if (next !== undefined) current = next;
  else if (!shown.includes(current) && shown.length) current = shown[shown.length - 1];
  keep();
  render();
  say(`${DONE[decision]}: ${title}.`, progress());
}

function apply(changes) {
  history.push(changes.map(([name]) => [name, decisions.get(name) ?? null]));
  for (const [name, decision] of changes) decisions.set(name, decision);
}

function undo() {
  const before = history.pop();
  if (!before) return say("Nothing to undo.");
  for (const [name, decision] of before) {
    if (decision === null) decisions.delete(name);
    else decisions.set(name, decision);
  }
  const back = records.findIndex((record) => record.name === before[0][0]);
  if (back >= 0) current = back;
  filter();
  if (back >= 0 && !shown.includes(back)) showAll();
  keep();
  render();
  const what = before.length > 1 ? `an import of ${counted(before.length, "decision")}` : titleOf(before[0][0]);
  return say(`Undone: ${what}.`, progress());
}

// ---- moving ----

function filter() {
  const label = byId("by-label").value;
  const decision = byId("by-decision").value;
  shown = [];
  records.forEach((record, index) => {
    const isLabel = !label || record.label === label;
    const decided = decisions.get(record.name) ?? "undecided";
    if (isLabel && (!decision || decided === decision)) shown.push(index);
  });
}

function changeFilter() {
  filter();
  if (shown.length && !shown.includes(current)) current = shown[0];
  render();
  say(`${counted(shown.length, "record")} shown.`);
}

function showAll() {
  byId("by-label").value = "";
  byId("by-decision").value = "";
  filter();
}

function move(by) {
  const place = shown.indexOf(current) + by;
  if (place < 0 || place >= shown.length) return say(by > 0 ? "This is the last record." : "This is the first record.");
  return go(shown[place]);
}

function go(index) {
  current = index;
  keep();
  render();
  say("");
}

function goToFirstUndecided() {
  let found = shown.find((index) => !decisions.has(records[index].name));
  if (found === undefined) {
    found = records.findIndex((record) => !decisions.has(record.name));
    if (found < 0) return say("Every record is decided.");
    showAll();
  }
  return go(found);
}

// ---- decisions.json ----

function save() {
  // In the order of the records, then what is of records that are not on this page, where it is that of a sample.
  const order = [...names].filter((name) => decisions.has(name));
  const others = isSample ? [...decisions.keys()].filter((name) => !names.has(name)) : [];
  const decided = Object.fromEntries([...order, ...others].map((name) => [name, decisions.get(name)]));
  const content = JSON.stringify({ records: data.file, decisions: decided }, null, 1) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  link.download = data.decisions_file;
  link.click();
  saved = digest(Object.entries(decided));
  keep();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Downloaded ${counted(Object.keys(decided).length, "decision")}. Put ${data.decisions_file} beside ${data.file}.`);
}

async function importFile(file) {
  complain("");
  try {
    const changes = readDecisions(JSON.parse(await file.text()));
    const here = changes.filter(([name]) => names.has(name));
    if (!here.length) throw new Error("none of its decisions is of a record on this page");
    apply(ofThisPage(changes));
    filter();
    if (shown.length && !shown.includes(current)) current = shown[0];
    keep();
    render();
    const left = changes.length - here.length;
    const rest = left ? ` ${left} of records that are not on this page ${isSample ? "kept" : "left out"}.` : "";
    say(`Imported ${counted(here.length, "decision")}.${rest}`, progress());
  } catch (error) {
    const reason = error instanceof SyntaxError ? "it is not JSON" : error.message;
    complain(`${file.name} was not imported: ${reason}.`);
  }
}

function readDecisions(value) {
  const isObject = (thing) => typeof thing === "object" && thing !== null && !Array.isArray(thing);
  if (!isObject(value) || typeof value.records !== "string" || !isObject(value.decisions)) {
    throw new Error('expected {"records": ..., "decisions": {...}}');
  }
  if (value.records !== data.file) throw new Error(`it is of ${value.records}, not of ${data.file}`);
  const changes = Object.entries(value.decisions);
  const wrong = changes.find(([, decision]) => !Object.hasOwn(DONE, decision));
  if (wrong) throw new Error(`${wrong[0]} is ${JSON.stringify(wrong[1])}; expected "accept" or "reject"`);
  return changes;
}

// ---- showing ----

function counted(number, one) {
  return `${number} ${one}${number === 1 ? "" : "s"}`;
}

function progress() {
  const decided = records.filter((record) => decisions.has(record.name));
  const rejected = decided.filter((record) => decisions.get(record.name) === "reject").length;
  return `${decided.length} of ${records.length} decided: ${decided.length - rejected} accepted, ${rejected} rejected.`;
}

function titleOf(name) {
  return records.find((record) => record.name === name)?.title ?? name;
}

// What happened; `more` is on the page already, and is only read aloud.
function say(text, more = "") {
  byId("status").replaceChildren(text.charAt(0).toUpperCase() + text.slice(1), make("span", "unseen", ` ${more}`));
}

function complain(text) {
  byId("problem").textContent = text;
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function render() {
  byId("record").hidden = !shown.length;
  byId("none").hidden = shown.length > 0;
  byId("progress").textContent = progress();
  byId("bar").max = records.length;
  byId("bar").value = records.filter((record) => decisions.has(record.name)).length;
  byId("undo").setAttribute("aria-disabled", String(!history.length));
  renderList();
  if (shown.length) renderRecord();
}

function renderRecord() {
  const record = records[current];
  const decision = decisions.get(record.name);
  byId("position").textContent = `Record ${shown.indexOf(current) + 1} of ${shown.length}`;
  byId("decision").textContent = DONE[decision] ?? "undecided";
  byId("decision").dataset.decision = decision ?? "";
  byId("name").textContent = record.title;
  byId("label").textContent = record.label;
  byId("source").replaceChildren(record.source ? "from " : "", make("bdi", "", record.source ?? ""));
  byId("explanation").textContent = record.explanation || "No explanation.";
  byId("explanation").classList.toggle("quiet", !record.explanation);
  byId("image").alt = `${record.title}, ${record.label}`;
  const address = addressOf(current);
  if (byId("image").src !== address) {
    byId("image").src = address;
    byId("details").scrollTop = 0;
    if (byId("stage").getBoundingClientRect().top < 0) byId("stage").scrollIntoView();
  }
  renderLabels(record);
  byId("further").hidden = !record.fields.length;
  byId("fields").replaceChildren(...record.fields.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  fit();
  for (const neighbour of [current + 1, current - 1]) if (records[neighbour]) new Image().src = addressOf(neighbour);
}

function addressOf(index) {
  return `data:image/webp;base64,${byId(`image-${index}`).textContent}`;
}

function renderLabels(record) {
  const items = record.boxes.map((box, index) => {
    const item = make("li", "");
    const number = make("span", "number", String(index + 1));
    number.style.background = colourOf(index);
    const label = make("bdi", record.labels[index] ? "" : "quiet", record.labels[index] || "no label");
    item.append(number, label);
    item.addEventListener("pointerenter", () => light(index, true));
    item.addEventListener("pointerleave", () => light(index, false));
    return item;
  });
  const none = record.is_annotated ? "No box." : "Boxes not annotated.";
  byId("labels").replaceChildren(...(items.length ? items : [make("li", "quiet", none)]));
}

function colourOf(index) {
  return data.colours[index % data.colours.length];
}

function light(index, isLit) {
  byId("boxes").children[index]?.classList.toggle("lit", isLit);
}

function renderList() {
  const list = byId("list");
  if (list.children.length !== records.length) {
    list.replaceChildren(...records.map((record, index) => listItem(record, index)));
  }
  const isShown = new Set(shown);
  records.forEach((record, index) => {
    const item = list.children[index];
    const button = item.firstChild;
    const decision = decisions.get(record.name);
    item.hidden = !isShown.has(index);
    button.firstChild.textContent = MARKS[decision] ?? "";
    button.firstChild.dataset.decision = decision ?? "";
    button.lastChild.textContent = DONE[decision] ?? "undecided";
    button.ariaCurrent = index === current ? "true" : null;
  });
  // Only the list is moved, never the page.
  const item = list.children[current];
  const nav = list.parentElement.scrollHeight > list.parentElement.clientHeight ? list.parentElement : list;
  const top = item.offsetTop - nav.offsetTop;
  if (top < nav.scrollTop || top + item.offsetHeight > nav.scrollTop + nav.clientHeight) {
    nav.scrollTop = top - nav.clientHeight / 2;
  }
}

function listItem(record, index) {
  const item = document.createElement("li");
  const button = make("button", "");
  button.type = "button";
  const mark = make("span", "mark");
  mark.ariaHidden = "true";
  const state = make("span", "unseen");
  // The last part of the name tells images apart where there is little room.
  button.title = record.title;
  const count = make("span", "count", String(index + 1));
  count.style.minWidth = `${String(records.length).length}ch`;
  button.append(mark, count, make("bdi", "", record.title.split("/").pop()));
  button.append(make("span", "kind", record.label), state);
  button.addEventListener("click", () => go(index));
  item.append(button);
  return item;
}
