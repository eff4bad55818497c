// The conversations of this page and those that this browser keeps: opened again, or deleted.

import { byId, html, toast } from "./dom.js";
import { wake } from "./pictures.js";
import { beginConversation, goTo, state } from "./state.js";
import { forget, kept } from "./store.js";

/** Makes a conversation the current one, its pictures opened. */
export async function openConversation(conversation) {
  try {
    await wake(conversation);
  } catch (error) {
    toast(error.message);
    return false;
  }
  if (!state.conversations.includes(conversation)) state.conversations.push(conversation);
  goTo(conversation);
  return true;
}

/** Deletes conversations, here and where they are kept. */
async function deleteAll(conversations, onChange) {
  if (conversations.includes(state.busy?.conversation)) state.busy.controller.abort();
  state.conversations = state.conversations.filter((one) => !conversations.includes(one));
  if (conversations.includes(state.current)) beginConversation();
  onChange(); // before their pictures are given up, which are shown until then
  for (const conversation of conversations) {
    for (const { url } of conversation.pictures) if (url) URL.revokeObjectURL(url);
    await forget(conversation);
  }
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function entry(conversation, onOpen, onDelete) {
  const { turns, pictures, began, model } = conversation;
  const title = turns[0]?.question ?? pictures[0]?.name ?? "Nothing asked yet";
  const when = began.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const facts = [when, count(turns.length, "question"), count(pictures.length, "picture")];
  if (model && model !== state.model?.name) facts.push(model);
  const attributes = { type: "button", class: "open", onclick: () => onOpen(conversation), "aria-current": String(conversation === state.current) };
  const remove = {
    type: "button", class: "icon", title: "Delete", "aria-label": `Delete ${title}`, onclick: () => onDelete([conversation]),
  };
  return html("li", {},
    html("button", attributes, html("strong", {}, title), html("span", { class: "quiet" }, facts.join(" · "))),
    html("button", remove, "×"));
}

/** Shows the conversations; `onChange` is called when another one is the current one. */
export async function showHistory(onChange) {
  const dialog = byId("history-dialog");
  const older = await kept();
  byId("history-told").textContent = older === null
    ? "This browser keeps nothing for this page: they are gone once it is closed."
    : "Kept in this browser only, the last 50 of them.";
  const here = new Set(state.conversations.map(({ id }) => id));
  const all = [...(older ?? []).filter(({ id }) => !here.has(id)), ...state.conversations]
    .filter((one) => one === state.current || one.turns.length || one.pictures.length)
    .sort((one, other) => other.began - one.began);
  const onOpen = async (conversation) => {
    if (!(await openConversation(conversation))) return;
    dialog.close();
    onChange();
  };
  const onDelete = async (conversations) => {
    await deleteAll(conversations, onChange);
    await showHistory(onChange);
  };
  byId("history-list").replaceChildren(...all.map((conversation) => entry(conversation, onOpen, onDelete)));
  const clear = byId("history-clear");
  clear.textContent = "Delete all";
  clear.hidden = all.every(({ turns, pictures }) => !turns.length && !pictures.length);
  clear.onclick = () => { // asked once more: nothing brings them back
    clear.textContent = "Delete all of them?";
    clear.onclick = () => onDelete(all);
  };
  if (!dialog.open) dialog.showModal();
}
