// The picture with what is drawn over it, in its own pixels, and the tools: look, point, box, cut out.

import { byId, html, svg } from "./dom.js";
import { maskOf } from "./masks.js";
import { markColor, toSquare } from "./places.js";
import { partsOf, regionsOn, toldPlace } from "./regions.js";
import { state } from "./state.js";

let tool = "look";
let zoom = 1;
let drawing = null; // the first corner of a box, and the other one so far
let pointer = null; // the one that draws; null for the keyboard
let cursor = null; // where the keyboard points, in pixels

/** Pixels of the picture in one pixel of the screen. */
const unit = () => (state.picture ? state.picture.width / Math.max(byId("picture").clientWidth, 1) : 1);

function label(text, box, color, picture) {
  const size = 12 * unit();
  const width = size * (0.62 * text.length + 0.9);
  const x = Math.max(0, Math.min(box[0], picture.width - width));
  const above = box[1] - 1.5 * size;
  const y = above >= 0 ? above : Math.min((box[3] ?? box[1]) + 0.15 * size, picture.height - 1.5 * size);
  return svg("g", { class: `tag c${color}` },
    svg("rect", { x, y, width, height: 1.5 * size, rx: 0.25 * size }),
    svg("text", { x: x + 0.45 * size, y: y + 1.08 * size, "font-size": size }, text));
}

function shape(pixels) {
  if (pixels.length === 4) {
    const [x, y, right, bottom] = pixels;
    return svg("rect", { x, y, width: Math.max(right - x, unit()), height: Math.max(bottom - y, unit()), class: "shape" });
  }
  return svg("circle", { cx: pixels[0], cy: pixels[1], r: 5.5 * unit(), class: "shape dot" });
}

function region(place, picture) {
  const text = place.label.length > 28 ? `${place.label.slice(0, 27)}…` : place.label;
  const told = toldPlace(place);
  const attributes = { class: `region c${place.color}`, "data-place": place.id, tabindex: 0, role: "img", "aria-label": told };
  if (place.kind === "key point") attributes.class += " quiet-tag"; // a body has too many names to show them all
  const masks = place.pixels.filter((pixels) => pixels.length === 4).map((box) => maskOf(picture, box)).filter(Boolean);
  if (masks.length) attributes.class += " masked";
  const corners = place.pixels.filter((pixels) => pixels.length === 2); // of a mark that is an outline
  return svg("g", attributes, svg("title", {}, told), ...masks.map((d) => svg("path", { class: "mask", d })),
    corners.length > 2 ? svg("polygon", { class: "shape outline", points: corners.join(" ") }) : null, ...place.pixels.map(shape),
    text ? label(text, place.pixels[0], place.color, picture) : null);
}

function markShape(mark, picture) {
  const color = markColor(mark.name);
  return svg("g", { class: `mark c${color}`, role: "img", "aria-label": `Mark ${mark.name}` },
    shape(mark.pixels), label(mark.name, mark.pixels, color, picture));
}

function drawCursor(picture) {
  const [x, y] = cursor;
  const arm = 12 * unit();
  return svg("path", {
    class: "cursor", d: `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`,
    "aria-label": `${Math.round(x)}, ${Math.round(y)} of ${picture.width} x ${picture.height}`,
  });
}

/** Draws everything over the picture anew. */
export function drawOverlay() {
  const overlay = byId("overlay");
  const picture = state.picture;
  overlay.replaceChildren();
  if (!picture) return;
  overlay.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  const { places, limbs } = regionsOn(state.turn, picture);
  overlay.append(...partsOf(state.turn, picture).map(([x, y, right, bottom]) =>
    svg("rect", { class: "part", x: x - 2 * unit(), y: y - 2 * unit(), width: right - x + 4 * unit(), height: bottom - y + 4 * unit() })));
  overlay.append(...limbs.map(({ color, line: [x1, y1, x2, y2] }) => svg("line", { class: `limb c${color}`, x1, y1, x2, y2 })));
  const area = ([x, y, right = x, bottom = y]) => (right - x) * (bottom - y);
  const order = [...places].sort((one, other) => area(other.pixels[0]) - area(one.pixels[0])); // small ones on top
  overlay.append(...order.map((place) => region(place, picture)));
  const cited = new Set(places.filter(({ kind }) => kind === "mark").map((place) => place.label));
  const marks = state.current.marks.filter((mark) => mark.picture === picture && !cited.has(`Mark ${mark.name}`));
  overlay.append(...marks.map((mark) => markShape(mark, picture)));
  if (drawing) overlay.append(svg("g", { class: "drawing" }, shape(between(drawing))));
  if (cursor && tool !== "look") overlay.append(drawCursor(picture));
}

const between = ([x1, y1, x2, y2]) => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];

function resize() {
  const picture = state.picture;
  if (!picture) return;
  const stage = byId("stage");
  const [width, height] = [stage.clientWidth - 24, stage.clientHeight - 24];
  const fit = Math.min(width / picture.width, height / picture.height, 3);
  byId("figure").style.width = `${Math.max(40, picture.width * fit * zoom)}px`;
  drawOverlay();
}

/** Shows the current picture, its caption, and the strip of all pictures. */
export function showPicture(onSelect, onRemove) {
  const picture = state.picture;
  byId("empty").hidden = Boolean(picture);
  byId("figure").hidden = !picture;
  byId("caption").textContent = picture ? `${picture.name} — ${picture.width} × ${picture.height} pixels` : "";
  if (picture && byId("picture").src !== picture.url) {
    [zoom, cursor, drawing] = [1, null, null];
    byId("picture").src = picture.url;
    byId("picture").alt = picture.name;
  }
  for (const button of document.querySelectorAll("[data-tool], .toggle, .zoom button")) button.disabled = !picture;
  byId("strip").replaceChildren(...state.current.pictures.map((one, number) => thumbnail(one, number, onSelect, onRemove)));
  byId("strip").hidden = state.current.pictures.length === 0;
  resize();
}

function thumbnail(picture, number, onSelect, onRemove) {
  const chosen = picture === state.picture;
  const attributes = {
    type: "button", class: "thumb", "aria-current": String(chosen), title: picture.name,
    "aria-label": `Picture ${number + 1}: ${picture.name}`, onclick: () => onSelect(picture),
  };
  const button = html("button", attributes, html("img", { src: picture.url, alt: "" }), html("span", {}, String(number + 1)));
  const remove = picture.sent ? null : html("button", {
    type: "button", class: "remove", "aria-label": `Remove ${picture.name}`, title: "Remove", onclick: () => onRemove(picture),
  }, "×");
  return html("div", { class: "thumb-box" }, button, remove);
}

/** The box that was drawn last on the current picture, as a mark; null where there is none. */
export const lastBox = () =>
  state.current.marks.filter((mark) => mark.picture === state.picture && mark.pixels.length === 4).at(-1) ?? null;

function addMark(pixels) {
  const { marks } = state.current;
  const used = marks.map((mark) => Number(mark.name));
  const name = String(Math.max(0, ...used) + 1);
  const picture = state.picture;
  marks.push({ name, picture, pixels, square: toSquare(pixels, picture.seen), told: false });
}

function finishBox(callbacks) {
  const box = between(drawing);
  drawing = pointer = null;
  if (box[2] - box[0] >= 2 * unit() && box[3] - box[1] >= 2 * unit()) {
    if (tool === "cut") callbacks.onCut(state.picture, box);
    else addMark(box);
  }
  callbacks.onMarks();
}

function place(event) {
  const frame = byId("overlay").getBoundingClientRect();
  const picture = state.picture;
  const x = ((event.clientX - frame.left) / frame.width) * picture.width;
  const y = ((event.clientY - frame.top) / frame.height) * picture.height;
  return [Math.min(Math.max(x, 0), picture.width), Math.min(Math.max(y, 0), picture.height)];
}

function listenPointer(callbacks) {
  const overlay = byId("overlay");
  overlay.addEventListener("pointerdown", (event) => {
    if (tool === "look" || !state.picture || event.button !== 0) return;
    event.preventDefault();
    overlay.focus({ preventScroll: true });
    if (tool === "point") {
      addMark(place(event));
      callbacks.onMarks();
      return;
    }
    drawing = [...place(event), ...place(event)];
    pointer = event.pointerId;
  });
  // on the window, as a box may be drawn beyond the edge of the picture
  window.addEventListener("pointermove", (event) => {
    if (!drawing || event.pointerId !== pointer) return;
    drawing = [drawing[0], drawing[1], ...place(event)];
    drawOverlay();
  });
  window.addEventListener("pointerup", (event) => {
    if (!drawing || event.pointerId !== pointer) return;
    drawing = [drawing[0], drawing[1], ...place(event)];
    finishBox(callbacks);
  });
  window.addEventListener("pointercancel", () => { drawing = null; drawOverlay(); });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The keyboard: arrows move a cursor, Enter puts a point, or one corner of a box and then the other. */
function listenKeys(callbacks) {
  const overlay = byId("overlay");
  overlay.addEventListener("keydown", (event) => {
    const picture = state.picture;
    if (!picture || tool === "look" || event.target !== overlay) return;
    if (event.key in ARROWS) {
      const step = (event.shiftKey ? 1 : 10) * unit();
      const [x, y] = cursor ?? [picture.width / 2, picture.height / 2];
      const [dx, dy] = ARROWS[event.key];
      cursor = [Math.min(Math.max(x + dx * step, 0), picture.width), Math.min(Math.max(y + dy * step, 0), picture.height)];
      if (drawing) drawing = [drawing[0], drawing[1], ...cursor];
    } else if (event.key === "Enter" || event.key === " ") {
      cursor ??= [picture.width / 2, picture.height / 2];
      if (tool === "point") { addMark([...cursor]); callbacks.onMarks(); }
      else if (drawing) finishBox(callbacks);
      else drawing = [...cursor, ...cursor];
    } else return;
    event.preventDefault();
    drawOverlay();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (drawing) drawing = null;
    else setTool("look");
    drawOverlay();
  });
}

export function setTool(name, focus = false) {
  tool = name;
  byId("overlay").classList.toggle("drawable", name !== "look");
  for (const button of document.querySelectorAll("[data-tool]")) {
    const chosen = button.dataset.tool === name;
    button.setAttribute("aria-checked", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) button.focus();
  }
}

function listenTools() {
  const buttons = [...document.querySelectorAll("[data-tool]")];
  buttons.forEach((button, number) => {
    button.addEventListener("click", () => { setTool(button.dataset.tool); drawOverlay(); });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      setTool(buttons[(number + step + buttons.length) % buttons.length].dataset.tool, true);
    });
  });
  const zoomTo = (value) => { zoom = Math.min(Math.max(value, 0.5), 12); resize(); };
  byId("zoom-in").addEventListener("click", () => zoomTo(zoom * 1.4));
  byId("zoom-out").addEventListener("click", () => zoomTo(zoom / 1.4));
  byId("zoom-fit").addEventListener("click", () => zoomTo(1));
}

/** callbacks: `onMarks` when marks have changed, `onCut` with a picture and a box. */
export function listenStage(callbacks) {
  listenPointer(callbacks);
  listenKeys(callbacks);
  listenTools();
  new ResizeObserver(resize).observe(byId("stage"));
  byId("picture").addEventListener("load", resize);
}
