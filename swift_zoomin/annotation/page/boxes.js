"use strict";
// Boxes over a picture, and the picture at full size.

function svgElement(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Draw the boxes of a record in CSS pixels over a picture of this size, so that lines and numbers keep theirs.
function drawBoxes(svg, record, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const scale = width / record.width;
  const taken = [];
  const drawn = record.boxes.map((box, index) => {
    const [x1, y1, x2, y2] = box.map((edge) => edge * scale);
    const [boxWidth, boxHeight] = [Math.max(x2 - x1, 6), Math.max(y2 - y1, 6)];
    const place = { x: x1, y: y1, width: boxWidth, height: boxHeight };
    const group = svgElement("g", {});
    group.append(svgElement("rect", { ...place, class: "case" }));
    group.append(svgElement("rect", { ...place, class: "box", stroke: colourOf(index) }));
    const [left, top] = freeCorner(place, width, height, taken);
    taken.push([left, top]);
    const half = NUMBER_PX / 2;
    group.append(svgElement("rect", { x: left, y: top, width: NUMBER_PX, height: NUMBER_PX, rx: 3, fill: colourOf(index) }));
    const text = svgElement("text", { x: left + half, y: top + half });
    text.textContent = String(index + 1);
    group.append(text);
    return group;
  });
  svg.replaceChildren(...(showsBoxes ? drawn : []));
}

// Where a box's number stands: beside the box, inside the picture, on no other number, if there is such a place.
function freeCorner({ x, y, width, height }, pictureWidth, pictureHeight, taken) {
  const [right, bottom] = [x + width, y + height];
  const places = [[x, y - NUMBER_PX], [right - NUMBER_PX, y - NUMBER_PX]];
  if (Math.min(width, height) > 3 * NUMBER_PX) places.push([x, y]);
  places.push([x, bottom], [right, y], [x - NUMBER_PX, y], [right - NUMBER_PX, bottom], [x, y]);
  const isFree = ([left, top]) =>
    left >= 0 && top >= 0 && left <= pictureWidth - NUMBER_PX && top <= pictureHeight - NUMBER_PX &&
    taken.every(([otherX, otherY]) => Math.max(Math.abs(left - otherX), Math.abs(top - otherY)) >= NUMBER_PX);
  const clamped = [Math.max(0, Math.min(x, pictureWidth - NUMBER_PX)), Math.max(0, y - NUMBER_PX)];
  return places.find(isFree) ?? clamped;
}

// The picture as large as its place allows, at most twice the size it has on this page.
function fit() {
  if (!shown.length) return;
  const record = records[current];
  const stage = byId("stage");
  const isWide = matchMedia("(min-width: 64rem)").matches;
  const room = 24; // the padding of the stage
  const mostHeight = isWide ? stage.clientHeight - room : innerHeight * 0.55;
  const scale = Math.min((stage.clientWidth - room) / record.shown_width, mostHeight / record.shown_height, 2);
  const [width, height] = [record.shown_width, record.shown_height].map((side) => Math.max(1, Math.floor(side * scale)));
  byId("picture").style.width = `${width}px`;
  byId("picture").style.height = `${height}px`;
  drawBoxes(byId("boxes"), record, width, height);
}

function renderFull() {
  const record = records[current];
  const [width, height] = [record.shown_width * zoom, record.shown_height * zoom];
  byId("full-image").src = byId("image").src;
  byId("full-image").alt = byId("image").alt;
  byId("full-image").classList.toggle("pixelated", zoom >= 3);
  byId("full-picture").style.width = `${width}px`;
  byId("full-picture").style.height = `${height}px`;
  byId("zoom").textContent = `${zoom * 100} %`;
  const isShrunk = record.width > record.shown_width;
  byId("shrunk").textContent = isShrunk ? `The original has ${record.width} x ${record.height} pixels.` : "";
  drawBoxes(byId("full-svg"), record, width, height);
}

function openFull() {
  if (!shown.length) return;
  const record = records[current];
  // The first size at which it is seen larger than on the page, or as large as it is.
  const factor = byId("picture").clientWidth / record.shown_width;
  zoom = ZOOMS.find((size) => size >= 1 && size > factor * 1.2) ?? 1;
  byId("full").showModal();
  renderFull();
}

function changeZoom(by) {
  const place = ZOOMS.indexOf(zoom) + by;
  if (place < 0 || place >= ZOOMS.length) return;
  const scroll = document.querySelector(".scroll");
  const middle = [scroll.scrollLeft + scroll.clientWidth / 2, scroll.scrollTop + scroll.clientHeight / 2];
  const factor = ZOOMS[place] / zoom;
  zoom = ZOOMS[place];
  renderFull();
  scroll.scrollTo(middle[0] * factor - scroll.clientWidth / 2, middle[1] * factor - scroll.clientHeight / 2);
}

function toggleBoxes() {
  showsBoxes = !showsBoxes;
  byId("full-boxes").ariaPressed = String(showsBoxes);
  fit();
  if (byId("full").open) renderFull();
  say(showsBoxes ? "Boxes shown." : "Boxes hidden.");
}
