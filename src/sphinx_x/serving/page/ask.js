// From the question to the answer: the request, its stream, and stopping it.

import { Refused, chat } from "./api.js";
import { toldMarks } from "./places.js";
import { dataAddress } from "./pictures.js";
import { earlierTurns, pendingMarks, pendingPictures, state } from "./state.js";

async function userMessage(turn) {
  const pictures = await Promise.all(turn.shown.map(dataAddress));
  const parts = pictures.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role: "user", content: [...parts, { type: "text", text: turn.text }] };
}

async function requestOf(earlier, turn, options) {
  const messages = [];
  for (const before of earlier) messages.push(await userMessage(before), { role: "assistant", content: before.answer });
  messages.push(await userMessage(turn));
  return { model: state.model.name, messages, ...options };
}

function newTurn(question, earlier) {
  const [shown, marks] = [pendingPictures(), pendingMarks()];
  const seen = [...earlier.flatMap((turn) => turn.shown), ...shown];
  const told = marks.filter((mark) => seen.includes(mark.picture));
  const text = told.length ? `${question} ${toldMarks(told)}` : question;
  for (const picture of shown) picture.sent = true;
  for (const mark of told) mark.told = true;
  return {
    model: state.model.name, question, text, shown, seen, marks: told, answer: "", status: "asking", error: "", usage: null, extension: null,
    first: null, left: false,
  };
}

/** Takes back what a question without an answer has used up: it can be asked again. */
function takeBack(turn) {
  turn.left = true;
  for (const picture of turn.shown) picture.sent = false;
  for (const mark of turn.marks) mark.told = false;
}

/**
 * Asks a question of the current conversation.
 *
 * @param {string} question as the user wrote it
 * @param {object} options of the request: max_tokens, temperature, seed
 * @param {(turn: object) => void} onChange called as the answer grows, once a frame at most
 * @returns {Promise<object>} the turn; one without an answer has `left` set
 */
export async function ask(question, options, onChange) {
  const conversation = state.current;
  const earlier = earlierTurns();
  const turn = newTurn(question, earlier);
  const controller = new AbortController();
  const began = performance.now();
  conversation.turns.push(turn);
  state.turn = turn;
  state.busy = { controller, turn, conversation };
  let drawn = 0;
  onChange(turn);
  try {
    const body = await requestOf(earlier, turn, options);
    const ended = await chat(body, controller.signal, (piece, extension) => {
      if (piece) turn.first ??= (performance.now() - began) / 1000;
      turn.answer += piece;
      turn.extension = extension ?? turn.extension;
      drawn ||= requestAnimationFrame(() => { drawn = 0; onChange(turn); });
    });
    Object.assign(turn, { usage: ended.usage, status: ended.reason });
  } catch (error) {
    const stopped = error.name === "AbortError";
    turn.status = stopped ? "stopped" : "failed";
    turn.error = stopped ? "" : error instanceof Refused ? error.message : `This page failed: ${error.message}`;
  }
  cancelAnimationFrame(drawn);
  if (!turn.answer) takeBack(turn);
  state.busy = null;
  onChange(turn);
  return turn;
}

export const stop = () => state.busy?.controller.abort();
