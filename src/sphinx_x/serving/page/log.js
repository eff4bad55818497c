// The questions and answers, with the places of each answer, what it took, and what makes it doubtful.

import { byId, copyText, html, sentence } from "./dom.js";
import { placesOf, toldPlace } from "./regions.js";
import { singleTurns, state } from "./state.js";
import { findTables } from "./tables.js";

const STAGES = [["queue", "waiting"], ["encode", "encoding"], ["prefill", "prefill"], ["decode", "decoding"]];
const seconds = (value) => (value >= 1 ? `${value.toFixed(2)} s` : `${Math.round(1000 * value)} ms`);

/** A part of an answer, in which every place is a button of its region's colour. */
function pieces(letters, said, from, to) {
  const text = (first, last) => letters.slice(first, last).join("");
  const nodes = [];
  let end = from;
  for (const { first, last, attributes } of said) {
    if (first < end || last > to) continue;
    const whole = first > end && last < to && letters[first - 1] === "[" && letters[last] === "]"; // alone in its brackets
    const [begin, behind] = whole ? [first - 1, last + 1] : [first, last];
    nodes.push(text(end, begin), html("button", attributes, text(begin, behind)));
    end = behind;
  }
  return [...nodes, text(end, to)];
}

function table(letters, said, rows) {
  const columns = Math.max(...rows.map((row) => row.length));
  const lines = rows.map((row, number) => {
    const cells = Array.from({ length: columns }, (_, k) => html(number ? "td" : "th", number ? {} : { scope: "col" },
      ...(row[k] ? pieces(letters, said, ...row[k]) : [])));
    return html("tr", {}, ...cells);
  });
  return html("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" },
    html("table", {}, html("thead", {}, lines[0]), html("tbody", {}, ...lines.slice(1))));
}

/** The text of an answer, its tables as tables. */
function answerText(turn) {
  const letters = [...turn.answer];
  const shown = turn.seen.includes(state.picture) ? turn.seen.indexOf(state.picture) : turn.seen.length - 1;
  const said = placesOf(turn).flatMap((place) => {
    const title = toldPlace({ ...place, pixels: place.images[shown] });
    const attributes = { type: "button", class: `place c${place.color}`, "data-place": place.id, title };
    return place.spans.map(([first, last]) => ({ first, last, attributes }));
  }).sort((one, other) => one.first - other.first);
  const nodes = [];
  let end = 0;
  for (const { from, to, rows } of findTables(letters)) {
    nodes.push(...pieces(letters, said, end, from), table(letters, said, rows));
    end = to;
  }
  return [...nodes, ...pieces(letters, said, end, letters.length)];
}

function stages(turn) {
  const took = turn.extension?.seconds;
  if (!took) return null;
  const parts = STAGES.filter(([name]) => took[name] > 0);
  const bar = html("div", { class: "bar", "aria-hidden": "true" });
  const told = html("ul", { class: "stages", "aria-label": "Time by stage" });
  for (const [name, words] of parts) {
    const part = html("span", { class: `stage-${name}` });
    part.style.flexGrow = String(took[name]);
    bar.append(part);
    told.append(html("li", { class: `stage-${name}` }, `${words} ${seconds(took[name])}`));
  }
  return html("div", {}, bar, told);
}

function numbers(turn) {
  const { usage, extension } = turn;
  const parts = [];
  if (usage) {
    const cached = usage.prompt_tokens_details?.cached_tokens;
    const text = usage.prompt_tokens - usage.image_tokens;
    parts.push(`${text} text + ${usage.image_tokens} visual tokens in`);
    parts.push(`${usage.completion_tokens} out`);
    if (usage.skipped_views) parts.push(`${usage.skipped_views} views skipped`);
    if (cached) parts.push(`${cached} remembered`);
    const decode = extension?.seconds?.decode;
    if (decode > 0 && usage.completion_tokens > 1) parts.push(`${((usage.completion_tokens - 1) / decode).toFixed(0)} tokens/s`);
  }
  if (turn.first !== null) parts.push(`first words after ${seconds(turn.first)}`);
  return parts.length ? html("p", { class: "numbers" }, parts.join(" · ")) : null;
}

/** A turn as JSON: what was asked, and what it was answered, with places in pixels of each picture. */
export function turnJson(turn) {
  const places = placesOf(turn).map(({ kind, label, squares, images }) => ({ kind, label, relative: squares, pixels: images }));
  const marks = turn.marks.map(({ name, pixels, picture }) => ({ name, picture: turn.seen.indexOf(picture), pixels }));
  return {
    model: turn.model ?? state.current.model, question: turn.text, answer: turn.answer, status: turn.status, error: turn.error || undefined,
    pictures: turn.seen.map(({ name, width, height }) => ({ name, width, height })), marks, places,
    usage: turn.usage, sphinx_x: turn.extension,
  };
}

function remarks(turn) {
  const found = [];
  if (turn.error) found.push(html("p", { class: "fault" }, sentence(turn.error)));
  if (turn.status === "stopped") found.push(html("p", { class: "quiet" }, "Stopped."));
  if (turn.status === "length") found.push(html("p", { class: "quiet" }, "Cut off at the longest answer."));
  if (turn.extension?.doubt) found.push(html("p", { class: "doubt" }, sentence(turn.extension.doubt)));
  if (turn.seen.length > 1 && placesOf(turn).some(({ kind }) => !["mark", "line", "object"].includes(kind))) {
    found.push(html("p", { class: "quiet" }, "An answer does not say which picture its places are on: they are drawn on the one that is shown."));
  }
  return found;
}

function fillAnswer(element, turn) {
  const text = html("div", { class: "text" }, ...answerText(turn));
  if (turn.status === "asking") text.append(html("span", { class: "caret", role: "img", "aria-label": "Answering" }));
  const done = turn.status !== "asking";
  const copy = html("button", { type: "button", class: "link", onclick: () => copyText(JSON.stringify(turnJson(turn), null, 2)) }, "Copy as JSON");
  const details = html("div", { class: "details" }, stages(turn), numbers(turn), turn.answer ? copy : null);
  element.replaceChildren(text, ...remarks(turn), ...(done ? [details] : []));
}

function turnElement(turn, number, onTurn) {
  const shown = turn.shown.map((picture) => html("img", { src: picture.url, alt: picture.name, title: picture.name }));
  const question = html("div", { class: "question" },
    shown.length ? html("div", { class: "shown" }, ...shown) : null, html("div", { class: "text" }, turn.text));
  const answer = html("div", { class: "answer" });
  fillAnswer(answer, turn);
  const attributes = { class: "turn", "data-turn": number, "aria-label": `Question ${number + 1}`, onclick: () => onTurn(turn) };
  const apart = singleTurns() && number > 0 ? html("p", { class: "apart" }, "a conversation of its own") : null;
  return html("article", attributes, apart, question, answer);
}

/** Shows the whole conversation. */
export function showLog(onTurn) {
  const { turns } = state.current;
  byId("log").replaceChildren(...turns.map((turn, number) => turnElement(turn, number, onTurn)));
  markTurn();
  byId("log").scrollTop = byId("log").scrollHeight;
}

/** Shows one answer anew, as it grows. */
export function showAnswer(turn) {
  const log = byId("log");
  const element = log.querySelector(`[data-turn="${state.current.turns.indexOf(turn)}"] .answer`);
  if (!element) return; // of another conversation
  const below = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  fillAnswer(element, turn);
  if (below) log.scrollTop = log.scrollHeight;
}

/** Marks the answer whose regions are drawn. */
export function markTurn() {
  const { turns } = state.current;
  for (const element of byId("log").children) {
    element.classList.toggle("current", turns.length > 1 && turns[Number(element.dataset.turn)] === state.turn);
  }
}
