// What this page remembers: the model, and the conversations of this visit.

export const state = { model: null, conversations: [], current: null, picture: null, turn: null, busy: null, masks: false };

/** @typedef {{id: string, name: string, blob: Blob, url: string, image: HTMLImageElement, width: number,
 *             height: number, seen: object, sent: boolean, masks: Map<string, string>,
 *             origin: {picture: Picture, left: number, top: number}|null}} Picture of which it was cut out */
/** @typedef {{name: string, picture: Picture, pixels: number[], square: number[], told: boolean}} Mark */
/** @typedef {{model: string, question: string, text: string, shown: Picture[], seen: Picture[], marks: Mark[], answer: string,
 *             status: string, error: string, usage: object|null, extension: object|null, seconds: number,
 *             first: number|null, left: boolean}} Turn */

/** A name that no other page gives: conversations are kept from one visit to the next. */
export const nextId = () => [...crypto.getRandomValues(new Uint32Array(3))].map((number) => number.toString(36)).join("");

/** Begins a conversation, and makes it the current one; one without anything in it is used again. */
export function beginConversation() {
  let empty = state.conversations.find(({ turns, pictures }) => !turns.length && !pictures.length);
  if (!empty) {
    empty = { id: nextId(), began: new Date(), pictures: [], turns: [], marks: [] };
    state.conversations.push(empty);
  }
  goTo(empty);
}

export function goTo(conversation) {
  state.current = conversation;
  state.picture = conversation.pictures.at(-1) ?? null;
  state.turn = conversation.turns.at(-1) ?? null;
}

/** Whether each question is a conversation of its own, as the member declares. */
export const singleTurns = () => state.model?.abilities?.turns === 1;

/** Pictures that go with the next question. */
export function pendingPictures() {
  const { pictures } = state.current;
  if (singleTurns()) return state.picture ? [state.picture] : [];
  return pictures.filter((picture) => !picture.sent);
}

/** Marks that go with the next question: those on pictures it can see, unless told before. */
export function pendingMarks() {
  const { marks } = state.current;
  if (singleTurns()) return marks.filter((mark) => mark.picture === state.picture);
  return marks.filter((mark) => !mark.told);
}

/** Turns that the next question follows on, as the model sees them. */
export function earlierTurns() {
  return singleTurns() ? [] : state.current.turns.filter((turn) => !turn.left);
}
