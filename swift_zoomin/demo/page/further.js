"use strict";
// What is asked of a picture once there is a verdict: downloads, heat maps, a test of its regions.

let heatAddress = null;

async function further(button, doing, path, method, use) {
  const mine = visit;
  button.disabled = true;
  say(doing, true, "further-status");
  try {
    const answer = await ask(`visits/${mine.id}/${path}`, { method, signal: mine.abort.signal });
    const said = await use(answer);
    if (visit === mine) say(said, false, "further-status");
  } catch (error) {
    if (visit === mine) say(error.message, false, "further-status");
  } finally {
    if (visit === mine && !mine.isForgotten) button.disabled = false;
  }
}

function save(content, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = `${visit.told.name.replace(/\.\w+$/, "")}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function saveJson() {
  const text = `${JSON.stringify(visit.prediction, null, 2)}\n`;
  save(new Blob([text], { type: "application/json" }), "json");
  say("Downloaded.", false, "further-status");
}

function savePage() {
  further(byId("save-page"), "Making the page ...", "page", "GET", async (answer) => {
    save(await answer.blob(), "html");
    return "Downloaded.";
  });
}

function showHeat(event) {
  const button = event.currentTarget;
  const { query } = button.dataset;
  const which = query === "1" ? "first" : "second";
  further(button, "Looking inside the model ...", `heat?query=${query}`, "POST", async (answer) => {
    if (heatAddress) URL.revokeObjectURL(heatAddress);
    heatAddress = URL.createObjectURL(await answer.blob());
    byId("heat-image").src = heatAddress;
    byId("heat-image").alt = `Heat maps of ${visit.told.name}: where the ${which} look's verdict and words were said from`;
    byId("heat-caption").textContent =
      `Where the words of the ${which} look came from: gradients, not the model's own account, and no proof either.`;
    byId("heat").hidden = false;
    return "";
  });
}

const share = (value) => (value === null ? "–" : value.toFixed(2));

function probe() {
  const doing = "Asking again with each region hidden; this takes many looks ...";
  further(byId("probe"), doing, "probe", "POST", async (answer) => {
    const probed = await answer.json();
    byId("probe-words").textContent = probed.words.join(" ");
    byId("probe-table").hidden = probed.share === null;
    const rows = probed.regions.map((region) => [`region ${region.number}`, share(region.share), share(region.random_share)]);
    rows.unshift(["nothing", share(probed.share), ""]);
    rows.push(["all regions", share(probed.all_share), share(probed.all_random_share)]);
    byId("probe-rows").replaceChildren(...rows.map(tableRow));
    byId("probed").hidden = false;
    return "";
  });
}

function tableRow([name, ...shares]) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  for (const text of shares) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}
