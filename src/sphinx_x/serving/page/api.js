// What this page asks of its server, and of nobody else.

import { byId } from "./dom.js";

let token = "";

/** What a server answers instead of what was asked for: one line. */
export class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Asks the user for the token; resolves to whether there is one now. */
function askForToken() {
  const dialog = byId("token-dialog");
  const form = byId("token-form");
  return new Promise((resolve) => {
    const end = (given) => {
      form.onsubmit = dialog.onclose = byId("token-cancel").onclick = null;
      if (given) token = byId("token").value.trim();
      byId("token").value = "";
      dialog.close();
      resolve(given);
    };
    form.onsubmit = (event) => { event.preventDefault(); end(true); };
    byId("token-cancel").onclick = () => end(false);
    dialog.onclose = () => end(false);
    dialog.showModal();
  });
}

async function refusal(response) {
  let message = `The server answers ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch { /* not JSON: the status has to do */ }
  const later = response.headers.get("Retry-After");
  return new Refused(later ? `${message} (in ${later} s)` : message, response.status);
}

/** Asks the server; a wrong or missing token is asked for, and everything but success raises `Refused`. */
async function request(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    let response;
    try {
      response = await fetch(new URL(path, location.origin), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("The server does not answer.");
    }
    if (response.ok) return response;
    if (response.status !== 401 || !(await askForToken())) throw await refusal(response);
  }
}

export const about = async () => (await request("/page/model")).json();

/** How the model sees a picture of this size. */
export const seenAs = async (width, height) => (await request(`/page/view?width=${width}&height=${height}`)).json();

/** The same of a picture itself, with the lines of text that the model reads in it. */
export const seenWithLines = async (blob) =>
  (await request("/page/read", { method: "POST", headers: OCTETS, body: blob })).json();

const OCTETS = { "Content-Type": "application/octet-stream" };
const JSON_TYPE = { "Content-Type": "application/json" };
const PDF = { method: "POST", headers: { "Content-Type": "application/pdf" } };

/** Small pictures of pages of a PDF from page `first` on, and how many pages there are. */
export const pdfPreviews = async (file, first) =>
  (await request(`/page/pdf/previews?first=${first}`, { ...PDF, body: file })).json();

/** Masks of boxes of a picture, in its pixels. */
export async function masksOf(model, url, boxes) {
  const body = JSON.stringify({ model, image_url: { url }, boxes });
  return (await request("/v1/masks", { method: "POST", headers: JSON_TYPE, body })).json();
}

/** A picture of any kind that the server takes, upright and as a PNG. */
export const asPng = async (file) =>
  (await request("/page/picture", { method: "POST", headers: OCTETS, body: file })).blob();

/** One page of a PDF as a picture. */
export const pdfPage = async (file, page) => (await request(`/page/pdf?page=${page}`, { ...PDF, body: file })).blob();

/** The events of a stream, as objects. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const data = line.slice(6).trim();
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

/**
 * Asks a question and reads the answer as it comes.
 *
 * @param {object} body the request for a chat completion
 * @param {AbortSignal} signal ends it
 * @param {(piece: string, extension: object|null) => void} onPiece called with each piece of text, and with what the server
 *   tells of the answer by then: at first what it points at, in the end everything
 * @returns {Promise<{usage: object|null, reason: string|null}>}
 */
export async function chat(body, signal, onPiece) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const options = { method: "POST", headers: JSON_TYPE, body: JSON.stringify(asked), signal };
  const response = await request("/v1/chat/completions", options);
  const ended = { usage: null, reason: null };
  try {
    for await (const event of events(response)) {
      if (event.error) throw new Refused(event.error.message);
      const choice = event.choices?.[0];
      if (choice?.delta?.content || event.sphinx_x) onPiece(choice?.delta?.content ?? "", event.sphinx_x ?? null);
      ended.reason = choice?.finish_reason ?? ended.reason;
      ended.usage = event.usage ?? ended.usage;
    }
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("The connection to the server was lost.");
  }
  if (ended.reason === null) throw new Refused("The answer broke off.");
  return ended;
}
