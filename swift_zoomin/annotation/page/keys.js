"use strict";
// Buttons and keys, and the start of the page.

const KEYS = {
  a: () => decide("accept"),
  r: () => decide("reject"),
  u: undo,
  j: () => move(1),
  k: () => move(-1),
  ArrowRight: () => move(1),
  ArrowLeft: () => move(-1),
  f: goToFirstUndecided,
  z: openFull,
  b: toggleBoxes,
  "?": () => byId("help").showModal(),
};
const FULL_KEYS = {
  z: () => byId("full").close(),
  b: toggleBoxes,
  a: () => decideFull("accept"),
  r: () => decideFull("reject"),
  "+": () => changeZoom(1),
  "=": () => changeZoom(1),
  "-": () => changeZoom(-1),
};
const BUTTONS = {
  accept: () => decide("accept"),
  reject: () => decide("reject"),
  undo,
  previous: () => move(-1),
  next: () => move(1),
  first: goToFirstUndecided,
  picture: openFull,
  save,
  import: () => byId("file").click(),
  "help-button": () => byId("help").showModal(),
  "help-close": () => byId("help").close(),
  close: () => byId("full").close(),
  smaller: () => changeZoom(-1),
  larger: () => changeZoom(1),
  "full-boxes": toggleBoxes,
};

function decideFull(decision) {
  byId("full").close();
  decide(decision);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !byId("keys-on").checked) return;
  if (event.target.matches("select, input") || byId("help").open) return;
  const keys = byId("full").open ? FULL_KEYS : KEYS;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!Object.hasOwn(keys, key)) return;
  event.preventDefault();
  // A key held down moves on, but decides only once.
  if (event.repeat && !key.startsWith("Arrow") && key !== "j" && key !== "k") return;
  keys[key]();
}

function start() {
  for (const [id, act] of Object.entries(BUTTONS)) byId(id).addEventListener("click", () => act());
  byId("show-all").addEventListener("click", () => { showAll(); render(); byId("next").focus(); });
  byId("by-label").addEventListener("change", changeFilter);
  byId("by-decision").addEventListener("change", changeFilter);
  byId("file").addEventListener("change", async ({ target }) => {
    if (target.files.length) await importFile(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("keydown", onKey);
  const hasRoom = matchMedia("(min-width: 48rem)");
  const unfold = () => { byId("fold").open = hasRoom.matches; };
  hasRoom.addEventListener("change", unfold);
  unfold();
  new ResizeObserver(fit).observe(byId("stage"));
  addEventListener("resize", fit);
  addEventListener("storage", (event) => {
    if (event.key !== data.key) return;
    const here = current;
    if (recall()) current = here; // another tab has decided; this one stays where it is
    filter();
    render();
  });
  addEventListener("beforeunload", (event) => { if (!isKept) event.preventDefault(); });
  if (recall()) takeNewDecisions();
  filter();
  render();
}

start();
