// The page: takes a picture, sends it to the worker, and shows what comes back.

import { showSeen } from "./seen.js";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// a worker of a blob has this page's content security policy: a worker of a file would have none
const start = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
const worker = new Worker(URL.createObjectURL(new Blob([start], { type: "text/javascript" })), { type: "module" });

const state = { number: 0, url: null, boxes: [], read: [], lines: [], pieces: 0 };

const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function take(file) {
  if (!file) return;
  URL.revokeObjectURL(state.url);
  Object.assign(state, { number: state.number + 1, url: URL.createObjectURL(file), boxes: [], read: [], lines: [], pieces: 0 });
  byId("picture").src = state.url;
  byId("figure").hidden = byId("right").hidden = false;
  for (const id of ["copy", "seen", "took", "error"]) byId(id).hidden = true;
  byId("lines").replaceChildren();
  byId("boxes").replaceChildren();
  byId("progress").removeAttribute("value");
  byId("progress").hidden = false;
  document.documentElement.dataset.reading = "";
  byId("state").textContent = "Opening the picture …";
  worker.postMessage({ number: state.number, file });
}

function finish() {
  byId("progress").hidden = true;
  delete document.documentElement.dataset.reading;
}

const heard = {
  ready({ time, version }) {
    byId("model").textContent = `Version ${version}, loaded in ${seconds(time)}`;
    document.documentElement.dataset.ready = "";
  },
  broken({ message }) {
    byId("model").textContent = message;
    byId("model").classList.add("broken");
  },
  opened({ width, height }) {
    byId("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
    byId("state").textContent = "Looking for lines …";
  },
  lines({ boxes }) {
    state.boxes = boxes;
    byId("progress").max = boxes.length;
    byId("state").textContent = `Reading ${counted(boxes.length, "piece")} of text …`;
    draw(boxes);
    byId("lines").replaceChildren(...boxes.map((_, k) => entry(k, "…", "pending")));
  },
  piece({ line, text, probability, plan, tokens, picture, times }) {
    const found = (state.read[line] ??= { text: "", probability: 1, pieces: [] });
    found.text = `${found.text} ${text}`.trim();
    found.probability = Math.min(found.probability, probability);
    found.pieces.push({ text, probability, plan, tokens, picture, times });
    byId("progress").value = line + 1;
    byId("boxes").children[line].classList.add("read");
    byId("lines").children[line].replaceWith(entry(line, found.text, "pending"));
  },
  again({ count }) {
    byId("state").textContent = `Reading what is doubtful again (${count}) …`;
  },
  done({ lines, times, again, angle }) {
    finish();
    state.lines = lines;
    draw(lines.map((line) => line.box));
    for (const box of byId("boxes").children) box.classList.add("read");
    byId("lines").replaceChildren(...lines.map((line, k) => entry(k, line.text, line.probability < 0.9 ? "doubtful" : "")));
    const total = Object.values(times).reduce((sum, time) => sum + time, 0);
    byId("state").textContent = `${counted(lines.length, "line")} in ${seconds(total)}`;
    byId("copy").hidden = !lines.length;
    showTimes(times, again, angle);
    if (lines.length) select(0);
  },
  failed({ message }) {
    finish();
    byId("state").textContent = "";
    byId("lines").replaceChildren();
    byId("error").textContent = message;
    byId("error").hidden = false;
  },
};

worker.addEventListener("message", ({ data }) => {
  if (data.number === undefined || data.number === state.number) heard[data.kind](data);
});
worker.addEventListener("error", () => heard.broken({ message: "This browser cannot run the page's worker." }));

function entry(number, text, kind) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: `line ${kind}`, textContent: text });
  if (kind === "doubtful") button.title = `Doubtful: probability ${state.lines[number].probability.toFixed(2)}`;
  if (kind === "pending") button.disabled = true;
  button.addEventListener("click", () => select(number));
  button.addEventListener("focus", () => light(number));
  button.addEventListener("pointerenter", () => light(number));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function draw(boxes) {
  byId("boxes").replaceChildren(...boxes.map(([left, top, right, bottom], number) => {
    const rect = document.createElementNS(SVG, "rect");
    const at = { x: left - 3, y: top - 3, width: right - left + 6, height: bottom - top + 6, rx: 3 };
    for (const [name, value] of Object.entries(at)) rect.setAttribute(name, value);
    rect.addEventListener("click", () => state.lines.length && select(number));
    rect.addEventListener("pointerenter", () => state.lines.length && light(number));
    return rect;
  }));
}

function light(number) {
  for (const place of ["boxes", "lines"]) {
    [...byId(place).children].forEach((one, k) => one.classList.toggle("lit", k === number));
  }
}

function select(number) {
  [...byId("lines").children].forEach((item, k) => {
    item.firstChild.setAttribute("aria-current", k === number);
    item.firstChild.tabIndex = k === number ? 0 : -1;
  });
  for (const [k, box] of [...byId("boxes").children].entries()) box.classList.toggle("chosen", k === number);
  light(number);
  byId("seen").hidden = false;
  showSeen(byId("pieces"), state.lines[number].pieces);
}

const STAGES = {
  open: "Opening the picture", find: "Finding lines", encode: "Encoding views", prefill: "Prompts", decode: "Answers",
};

function showTimes(times, again, angle) {
  const rows = Object.entries(STAGES).map(([stage, name]) => [name, seconds(times[stage])]);
  const read = times.encode + times.prefill + times.decode;
  rows.push(["Reading, per line", seconds(read / Math.max(state.boxes.length, 1))]);
  if (again) rows.push(["Read again, for doubt", counted(again, "piece")]);
  if (angle) rows.push(["The page leans", `${Math.abs(angle).toFixed(1)}° ${angle > 0 ? "counter-clockwise" : "clockwise"}`]);
  byId("took").dataset.times = JSON.stringify(times); // in ms, for whoever measures
  byId("times").replaceChildren(...rows.flatMap(([name, value]) => {
    const [term, told] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, told.textContent] = [name, value];
    return [term, told];
  }));
  byId("took").hidden = false;
}

let fading = 0;
function toast(text) {
  byId("toast").textContent = text;
  byId("toast").classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => byId("toast").classList.remove("shown"), 3000);
}

byId("lines").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step || !state.lines.length) return;
  event.preventDefault();
  const buttons = [...byId("lines").querySelectorAll("button")];
  const next = Math.min(Math.max(buttons.indexOf(document.activeElement) + step, 0), buttons.length - 1);
  buttons[next].focus();
  select(next);
});

byId("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(state.lines.map((line) => line.text).join("\n"));
    toast("Copied.");
  } catch {
    toast("This browser does not let the page copy.");
  }
});

byId("choose").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", () => {
  take(byId("file").files[0]);
  byId("file").value = "";
});
byId("example").addEventListener("click", async () => take(await (await fetch("example.png")).blob()));
addEventListener("paste", ({ clipboardData }) => take(clipboardData.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.documentElement.dataset.over = "";
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete document.documentElement.dataset.over;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  delete document.documentElement.dataset.over;
  take(event.dataTransfer.files[0]);
});

const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(name) {
  document.documentElement.dataset.theme = name;
}
setTheme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
