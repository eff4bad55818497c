// The conversations that this browser keeps, in a database of its own (IndexedDB): the server keeps none.

import { toast } from "./dom.js";

const [DATABASE, TALKS, PICTURES, MOST, PAUSE] = ["sphinx-x", "conversations", "pictures", 50, 1000];

let opening = null;
let told = false;
const waiting = new Map(); // conversations that are to be written, each with its timer

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function openDatabase() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(TALKS, { keyPath: "id" });
    request.result.createObjectStore(PICTURES); // by their ids, apart: they are written once
  };
  const opened = await done(request);
  opened.onversionchange = () => { opened.close(); opening = null; };
  return opened;
}

async function within(store, mode, work) {
  opening ??= openDatabase();
  return done(work((await opening).transaction(store, mode).objectStore(store)));
}

/** A conversation without what only lives in a page; pictures are their ids, marks their names. */
function plain(conversation) {
  const ids = (pictures) => pictures.map(({ id }) => id);
  const { id, began, pictures, marks, turns } = conversation;
  const model = turns.at(-1).model ?? conversation.model;
  return {
    id, began, model,
    pictures: pictures.map(({ id, name, width, height, sent, origin }) => ({
      id, name, width, height, sent, origin: origin && { ...origin, picture: origin.picture.id },
    })),
    marks: marks.map((mark) => ({ ...mark, picture: mark.picture.id })),
    turns: turns.map((turn) => ({
      ...turn, shown: ids(turn.shown), seen: ids(turn.seen), marks: turn.marks.map(({ name }) => name),
    })),
  };
}

/** The conversation that was kept; its pictures have to be opened before they are shown. */
function revived({ id, began, model, pictures, marks, turns }) {
  const known = new Map(pictures.map((picture) => [picture.id, { ...picture, kept: true, masks: new Map() }]));
  for (const picture of known.values()) {
    const whole = known.get(picture.origin?.picture);
    picture.origin = whole ? { ...picture.origin, picture: whole } : null;
  }
  const put = new Map(marks.map((mark) => [mark.name, { ...mark, picture: known.get(mark.picture) }]));
  const found = (ids) => ids.map((one) => known.get(one)).filter(Boolean);
  return {
    id, began, model, pictures: [...known.values()], marks: [...put.values()],
    turns: turns.map((turn) => broken({
      ...turn, shown: found(turn.shown), seen: found(turn.seen), marks: turn.marks.map((name) => put.get(name)).filter(Boolean),
    })),
  };
}

/** A turn whose answer was still being written when the page was left. */
function broken(turn) {
  if (turn.status !== "asking") return turn;
  if (!turn.answer) {
    for (const picture of turn.shown) picture.sent = false;
    for (const mark of turn.marks) mark.told = false;
  }
  return { ...turn, status: "failed", error: "the page was left before the answer was complete", left: !turn.answer };
}

/** All conversations that are kept, the oldest first; null where this browser keeps none. */
export async function kept() {
  try {
    const records = await within(TALKS, "readonly", (store) => store.getAll());
    return records.sort((one, other) => one.began - other.began).map(revived);
  } catch {
    return null;
  }
}

/** The content of a picture that was kept. */
export async function contentOf({ id, name }) {
  const blob = await within(PICTURES, "readonly", (store) => store.get(id));
  if (!blob) throw new Error(`${name}: this browser has not kept it.`);
  return blob;
}

/** Keeps a conversation as it is in a moment; `now` without waiting for further changes. */
export function keep(conversation, now = false) {
  if (!conversation.turns.length || conversation.deleted) return;
  const write = async () => {
    clearTimeout(waiting.get(conversation));
    waiting.delete(conversation);
    try {
      for (const picture of conversation.pictures.filter((one) => !one.kept)) {
        await within(PICTURES, "readwrite", (store) => store.put(picture.blob, picture.id));
        picture.kept = true;
      }
      if (conversation.deleted) return;
      await within(TALKS, "readwrite", (store) => store.put(plain(conversation)));
      const many = await within(TALKS, "readonly", (store) => store.count());
      if (many > MOST) await Promise.all((await kept()).slice(0, -MOST).map(forget));
    } catch (error) {
      if (!told) toast(`This browser does not keep the conversation: ${error.message}`);
      told = true; // once is enough: the page goes on without
    }
  };
  if (now) write();
  else if (!waiting.has(conversation)) waiting.set(conversation, setTimeout(write, PAUSE));
}

/** Deletes a conversation. */
export async function forget(conversation) {
  conversation.deleted = true;
  clearTimeout(waiting.get(conversation));
  waiting.delete(conversation);
  try {
    await within(TALKS, "readwrite", (store) => store.delete(conversation.id));
    for (const { id } of conversation.pictures) await within(PICTURES, "readwrite", (store) => store.delete(id));
  } catch { /* none is kept */ }
}
