// The page: puts its parts together.

import { about } from "./api.js";
import { ask, stop } from "./ask.js";
import { byId, copyText, html, sentence, toast } from "./dom.js";
import { openConversation, showHistory } from "./history.js";
import { markTurn, showAnswer, showLog, turnJson } from "./log.js";
import { cutOut, listen, removePicture } from "./pictures.js";
import { markColor, written } from "./places.js";
import { fetchMasks } from "./masks.js";
import { listenRegions, regionsOn } from "./regions.js";
import { drawOverlay, lastBox, listenStage, setTool, showPicture } from "./stage.js";
import { beginConversation, pendingMarks, pendingPictures, singleTurns, state } from "./state.js";
import { keep, kept } from "./store.js";
import { TASKS, fillTasks, taskText } from "./tasks.js";
import { showViews } from "./views.js";

function select(picture) {
  state.picture = picture;
  showAll();
}

function selectTurn(turn) {
  if (!turn || turn === state.turn) return;
  state.turn = turn;
  const shown = turn.seen.some((one) => one === state.picture || one.origin?.picture === state.picture);
  if (!shown && turn.seen.length) state.picture = turn.seen.at(-1);
  markTurn();
  showPictures();
}

function showPictures() {
  showPicture(select, (picture) => { removePicture(picture); showAll(); });
  showViews();
  showPending();
  keep(state.current);
  const { picture, turn } = state;
  if (!picture || !turn || turn.status === "asking") return;
  const boxes = regionsOn(turn, picture).places.flatMap(({ pixels }) => pixels.filter((place) => place.length === 4));
  fetchMasks(picture, boxes, drawOverlay);
}

function showAll() {
  history.replaceState({ conversation: state.current.id }, ""); // to be found again when the page is loaded anew
  showPictures();
  showLog(selectTurn);
}

/** What goes with the next question, and what speaks against it. */
function showPending() {
  const pictures = pendingPictures();
  const chips = pictures.map((picture) => html("li", {}, html("img", { src: picture.url, alt: "" }), picture.name));
  const marks = pendingMarks().map((mark) => {
    const remove = () => {
      state.current.marks = state.current.marks.filter((one) => one !== mark);
      showPictures();
    };
    return html("li", { class: `c${markColor(mark.name)}` }, `Mark ${mark.name} ${written(mark.square)}`,
      html("button", { type: "button", "aria-label": `Remove mark ${mark.name}`, title: "Remove", onclick: remove }, "×"));
  });
  byId("pending").replaceChildren(...chips, ...marks);
  const refusal = pictures.map((picture) => picture.seen.refusal).find(Boolean)
    ?? (pictures.length || state.current.turns.length ? null : state.model?.alone);
  byId("notice").textContent = sentence(refusal);
  byId("notice").hidden = !refusal;
}

function options() {
  const given = {};
  for (const [id, name] of [["max-tokens", "max_tokens"], ["temperature", "temperature"], ["seed", "seed"]]) {
    const value = byId(id).value.trim();
    if (value !== "") given[name] = Number(value);
  }
  return given;
}

function setBusy(busy) {
  byId("send").hidden = busy;
  byId("stop").hidden = !busy;
  byId("log").setAttribute("aria-busy", String(busy));
}

async function submit() {
  const box = byId("question");
  const question = box.value.trim();
  if (!question || state.busy || !state.model) return;
  const invalid = ["max-tokens", "temperature", "seed"].map(byId).find((input) => !input.checkValidity());
  if (invalid) {
    invalid.closest("details").open = true;
    invalid.reportValidity();
    return;
  }
  const conversation = state.current;
  box.value = "";
  setTool("look");
  setBusy(true);
  let shown = false;
  const turn = await ask(question, options(), (grown) => {
    keep(conversation);
    if (conversation !== state.current) return;
    if (!shown) { shown = true; showAll(); return; }
    showAnswer(grown);
    if (grown === state.turn) drawOverlay();
  });
  setBusy(false);
  keep(conversation, true);
  if (conversation !== state.current) return;
  if (turn.left && !box.value) box.value = question; // to be asked again
  showPictures();
}

function listenComposer() {
  const box = byId("question");
  byId("composer").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  byId("stop").addEventListener("click", stop);
  const extra = document.querySelector(".options");
  document.addEventListener("pointerdown", (event) => { if (!extra.contains(event.target)) extra.open = false; });
  extra.addEventListener("keydown", (event) => { if (event.key === "Escape") extra.open = false; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.busy && !document.querySelector("dialog[open]")) stop();
  });
  const tasks = byId("tasks");
  fillTasks(tasks, (name, value) => html("option", { value }, name), (label) => html("optgroup", { label }));
  tasks.addEventListener("change", () => {
    const mark = lastBox();
    const { text, start, end } = taskText(TASKS[Number(tasks.value)][2], mark ? written(mark.square) : null);
    tasks.value = "";
    box.value = text;
    box.focus();
    box.setSelectionRange(start, end);
  });
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(dark));
}

function listenMasks() {
  const button = byId("masks");
  button.hidden = !state.model.masks;
  button.addEventListener("click", () => {
    state.masks = !state.masks;
    button.setAttribute("aria-pressed", String(state.masks));
    showPictures();
  });
}

function listenHeader() {
  byId("new").addEventListener("click", () => { beginConversation(); showAll(); byId("question").focus(); });
  byId("history").addEventListener("click", () => showHistory(showAll));
  byId("history-close").addEventListener("click", () => byId("history-dialog").close());
  byId("copy-all").addEventListener("click", () => {
    if (state.current.turns.length) copyText(JSON.stringify(state.current.turns.map(turnJson), null, 2));
    else toast("There is nothing to copy yet.");
  });
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  setTheme(preferred.matches);
  preferred.addEventListener("change", (event) => setTheme(event.matches));
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
}

/** Opens the conversation again that was shown before the page was loaded anew. */
async function reopen() {
  const id = history.state?.conversation;
  const known = id && (await kept())?.find((conversation) => conversation.id === id);
  if (known) await openConversation(known);
}

async function start() {
  beginConversation();
  listenHeader();
  listenComposer();
  listenRegions(selectTurn);
  listen(showAll);
  listenStage({ onMarks: showPictures, onCut: (picture, box) => cutOut(picture, box, showAll) });
  setTool("look");
  try {
    state.model = await about();
    byId("model").textContent = state.model.name;
    document.title = `${state.model.name} — SPHINX-X`;
    byId("model").title = (state.model.abilities?.tasks ?? []).join(", ");
    if (singleTurns()) byId("question").placeholder = "Ask about the picture that is shown…";
  } catch (error) {
    toast(error.message);
    byId("notice").textContent = error.message;
    byId("notice").hidden = false;
    return;
  }
  listenMasks();
  await reopen();
  showAll();
  document.documentElement.dataset.ready = "yes";
}

start();
