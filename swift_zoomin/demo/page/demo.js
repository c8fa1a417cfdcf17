"use strict";
// One picture at a time. It is sent in one request, whose answer are the events of `demo/visits.py` for as long as this
// page stays: leaving it, or taking another picture, ends the request, and with it everything that is held of the picture.

const byId = (id) => document.getElementById(id);
const KEY = "zoomin demo token"; // kept for this tab, so that the page can be loaded again
const NO_VERDICT = "no verdict";

let settings = null;
let token = null;
let waiting = null; // a picture that came before the token
let visit = null; // { id, file, abort, prediction } of the picture that is shown

// ---- words on the page ----

function say(text, busy = false, place = "status") {
  byId(place).textContent = text;
  byId(place).classList.toggle("busy", busy);
}

function complain(text) {
  byId("problem").textContent = text;
  if (text) say("");
}

function counted(number, one) {
  return `${number} ${one}${number === 1 ? "" : "s"}`;
}

function showVerdict(id, verdict) {
  byId(id).textContent = verdict ?? NO_VERDICT;
  byId(id).dataset.verdict = verdict ?? "";
}

// ---- asking the server ----

function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

// The answer, or an Error in words for the visitor.
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The connection broke off. Nothing of the picture is kept there; try again.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const error = new Error(told.error ?? `The demo answered ${answer.status}.`);
  error.status = answer.status;
  throw error;
}

function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname); // not left in the history, nor on a screenshot
  }
  token = given ?? sessionStorage.getItem(KEY);
}

async function begin() {
  try {
    settings = await (await ask("settings")).json();
  } catch (error) {
    if (error.status === 401) askForToken(error.message);
    else complain(error.message);
    return;
  }
  byId("ask-token").hidden = true;
  complain("");
  byId("model").textContent = `Model: ${settings.model}`;
  const limits = `${settings.most_bytes / 1e6} MB and ${settings.most_megapixels} megapixels`;
  byId("limits").textContent = `At most ${limits}. JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF.`;
  byId("heat-fault").textContent = settings.heat_fault ?? "";
  byId("heat-fault").hidden = !settings.heat_fault;
  if (waiting) look(waiting);
}

function askForToken(why) {
  sessionStorage.removeItem(KEY);
  token = null;
  byId("ask-token").hidden = false;
  complain(why);
  byId("token").focus();
}

// ---- a picture ----

function take(files) {
  const all = [...files];
  if (!all.length) {
    complain("That is no file. Save the picture first, then drop or choose the file.");
    return;
  }
  look(all[0]);
  if (all.length > 1) say(`Of ${all.length} files the first one is looked at.`, true);
}

async function look(file) {
  if (!settings) {
    waiting = file;
    if (!byId("ask-token").hidden) byId("token").focus();
    return;
  }
  waiting = null;
  leave();
  complain("");
  if (file.size > settings.most_bytes) {
    complain(`${file.name}: ${(file.size / 1e6).toFixed(1)} MB; expected at most ${settings.most_bytes / 1e6} MB.`);
    return;
  }
  const mine = { file, abort: new AbortController(), id: null, prediction: null };
  visit = mine;
  say(`Sending ${file.name} ...`, true);
  try {
    const name = encodeURIComponent(file.name.replace(/[\uD800-\uDFFF]/gu, "\uFFFD"));
    const answer = await ask("look", {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream", "X-File-Name": name },
      signal: mine.abort.signal,
    });
    await readEvents(answer.body, (event, told) => visit === mine && heard[event](told));
    if (visit === mine && !mine.prediction) throw new Error("The connection broke off before a verdict. Try again.");
  } catch (error) {
    if (visit !== mine) return; // another picture came
    if (error.status === 401) {
      waiting = file;
      settings = null;
      askForToken(error.message);
    } else if (mine.prediction) {
      forget("the connection broke off");
    } else {
      complain(error.message);
    }
  }
}

function leave() {
  visit?.abort.abort();
  visit = null;
  document.body.classList.remove("has-visit");
  byId("visit").hidden = true;
  byId("further").hidden = true;
  byId("regions-section").hidden = true;
  for (const id of ["heat", "probed"]) byId(id).hidden = true;
  for (const id of ["first-verdict", "first-explanation", "second-verdict", "second-explanation", "changed"]) {
    byId(id).textContent = "";
  }
  byId("boxes").replaceChildren();
  byId("regions").replaceChildren();
  say("", false, "further-status");
}

// Server-sent events, of which EventSource reads none that a request with a body has asked for.
async function readEvents(stream, handle) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const [, name, told] = /^event: (\w+)\ndata: (.*)$/s.exec(event) ?? [];
      if (name) handle(name, JSON.parse(told));
    }
  }
}

const heard = {
  taken(told) {
    visit.id = told.id;
    document.body.classList.add("has-visit");
    byId("visit").hidden = false;
    byId("image").src = told.preview;
    byId("image").width = told.width;
    byId("image").height = told.height;
    byId("name").textContent = told.name;
    byId("size").textContent = `${told.width} × ${told.height} pixels`;
    visit.told = told;
    describe("is being looked at");
    say("First look: the whole picture ...", true);
  },
  waiting({ ahead }) {
    say(ahead ? `Waiting: ${counted(ahead, "picture")} before yours ...` : "Waiting: yours is the next picture ...", true);
  },
  first(told) {
    showVerdict("first-verdict", told.verdict);
    byId("first-explanation").textContent = told.explanation ?? "";
    showRegions(told.regions);
    describe(`one look only: ${told.verdict ?? NO_VERDICT}`);
    say("Second look: the regions, cut from the original ...", true);
  },
  done({ prediction }) {
    visit.prediction = prediction;
    const { verdict, initial_verdict: initial, error } = prediction;
    showVerdict("second-verdict", verdict);
    byId("second-explanation").textContent = prediction.explanation ?? "";
    const kept = "The verdict is the same as after one look.";
    const changed = `The second look changed the verdict from ${initial ?? NO_VERDICT} to ${verdict ?? NO_VERDICT}.`;
    byId("changed").textContent = prediction.replies.length < 2 ? "" : verdict === initial ? kept : changed;
    describe(`verdict: ${verdict ?? NO_VERDICT}`);
    byId("further").hidden = !prediction.replies.length;
    for (const button of document.querySelectorAll("#further button")) button.disabled = false;
    for (const query of [1, 2]) {
      byId(`heat-${query}`).disabled = Boolean(settings.heat_fault) || prediction.replies.length < query;
    }
    byId("probe").disabled = prediction.replies.length < 2 || !prediction.boxes.length;
    if (error) complain(`${error[0].toUpperCase()}${error.slice(1)}.`);
    else say(`Done: ${verdict ?? NO_VERDICT}.`);
  },
  failed({ error }) {
    visit.prediction = {}; // there will be none
    complain(error);
  },
  forgotten({ why }) {
    forget(why);
  },
};

function forget(why) {
  if (visit) visit.isForgotten = true;
  for (const id of ["save-page", "heat-1", "heat-2", "probe"]) byId(id).disabled = true;
  say(`The picture is no longer held by the demo: ${why}. Look at it again to ask more.`);
}

// The picture in words: its verdict and regions.
function describe(state) {
  const { name } = visit.told;
  const regions = byId("regions").childElementCount;
  const marked = byId("regions-section").hidden ? "" : `; ${counted(regions, "marked region")}`;
  byId("image").alt = `${name}, ${state}${marked}`;
}

function showRegions(regions) {
  byId("regions-section").hidden = false;
  byId("no-regions").hidden = regions.length > 0;
  const { width, height } = visit.told;
  for (const { number, box, label, crop } of regions) {
    const [x1, y1, x2, y2] = box;
    const colour = settings.colours[(number - 1) % settings.colours.length];
    const mark = document.createElement("div");
    mark.className = "box";
    mark.style.borderColor = colour;
    mark.style.left = `${(100 * x1) / width}%`;
    mark.style.top = `${(100 * y1) / height}%`;
    mark.style.width = `${(100 * (x2 - x1)) / width}%`;
    mark.style.height = `${(100 * (y2 - y1)) / height}%`;
    mark.append(numbered(number, colour));
    byId("boxes").append(mark);
    byId("regions").append(listed(number, label, crop, colour, mark));
  }
}

function numbered(number, colour) {
  const badge = document.createElement("span");
  badge.className = "number";
  badge.style.background = colour;
  badge.textContent = number;
  return badge;
}

function listed(number, label, crop, colour, mark) {
  const item = document.createElement("li");
  const words = document.createElement("p");
  words.className = "label";
  const text = document.createElement("bdi");
  text.textContent = label || "without a label";
  words.append(numbered(number, colour), text);
  item.append(words);
  if (crop) {
    const picture = document.createElement("img");
    picture.src = crop;
    picture.alt = `Close-up of region ${number} as the model saw it`;
    item.append(picture);
  } else {
    const none = document.createElement("p");
    none.className = "quiet";
    none.textContent = "Not shown to the model again.";
    item.append(none);
  }
  item.addEventListener("pointerenter", () => mark.classList.add("lit"));
  item.addEventListener("pointerleave", () => mark.classList.remove("lit"));
  return item;
}

// ---- a visitor's hands ----

byId("choose").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", () => {
  if (byId("file").files.length) take(byId("file").files);
  byId("file").value = ""; // so that the same file can be chosen again
});
addEventListener("paste", (event) => {
  if (event.target === byId("token")) return;
  event.preventDefault();
  take(event.clipboardData.files);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault(); // anywhere on the page: the browser would open the file instead
  byId("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
byId("ask-token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  sessionStorage.setItem(KEY, token);
  byId("token").value = "";
  begin();
});
addEventListener("hashchange", () => {
  takeTokenFromAddress();
  begin();
});
byId("save-json").addEventListener("click", saveJson);
byId("save-page").addEventListener("click", savePage);
byId("heat-1").addEventListener("click", showHeat);
byId("heat-2").addEventListener("click", showHeat);
byId("probe").addEventListener("click", probe);

takeTokenFromAddress();
begin();
