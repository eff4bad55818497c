// Pictures come in: chosen, pasted, dropped, from pages of a PDF, or cut out of another picture.

import { asPng, pdfPage, pdfPreviews, seenAs, seenWithLines } from "./api.js";
import { byId, html, toast } from "./dom.js";
import { nextId, state } from "./state.js";
import { contentOf } from "./store.js";

const headOf = async (file) => new TextDecoder("latin1").decode(await file.slice(0, 1024).arrayBuffer());
const isPdf = (head) => /^(?:\u00ef\u00bb\u00bf)?\s*%PDF-/.test(head);

/** Whether a browser shows a file as the server does, upright: not a drawing, nor a WebP that tells how it lies. */
function isPlain(type, head) {
  if (/^RIFF[^]{4}WEBP/.test(head)) return !(head.slice(12, 16) === "VP8X" && head.charCodeAt(20) & 8);
  return /^image\/(?:jpeg|png|gif|bmp|avif)$/.test(type);
}

async function decoded(blob) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    return null;
  }
  return image;
}

/** Opens a picture; its size is that of the upright picture, as on the server, which is asked for unusual ones. */
async function opened(blob, name) {
  let image = isPlain(blob.type, await headOf(blob)) ? await decoded(blob) : null;
  if (!image) {
    try {
      blob = await asPng(blob);
    } catch (error) {
      throw new Error(`${name}: ${error.message.replace(/^image_url: /, "")}`);
    }
    checkBytes(blob, name); // grown as PNG
    image = await decoded(blob);
    if (!image) throw new Error(`${name}: this browser cannot show it.`);
  }
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  let seen = await seenAs(width, height);
  if (state.model?.lines && !seen.refusal) seen = await seenWithLines(blob);
  return { blob, url: image.src, image, width, height, seen };
}

/** Opens the pictures of a conversation that was kept. */
export async function wake({ pictures }) {
  for (const picture of pictures.filter(({ url }) => !url)) {
    Object.assign(picture, await opened(await contentOf(picture), picture.name));
  }
}

async function addBlob(blob, name, onAdded, origin = null) {
  checkBytes(blob, name);
  const conversation = state.current;
  const picture = { id: nextId(), name, origin, sent: false, masks: new Map(), ...(await opened(blob, name)) };
  conversation.pictures.push(picture);
  if (conversation === state.current) state.picture = picture;
  onAdded();
}

/** The content as it is now: a file that changes on the disk could not be sent any more. */
async function inMemory(file, name) {
  checkBytes(file, name);
  try {
    return new Blob([await file.arrayBuffer()], { type: file.type });
  } catch {
    throw new Error(`${name}: cannot be read.`);
  }
}

function checkBytes(blob, name) {
  const limit = state.model?.limits?.image_bytes;
  if (limit && blob.size > limit) throw new Error(`${name}: more than the ${limit.toLocaleString("en")} bytes that this server takes.`);
}

/** Adds files; what cannot be added is told by name. */
export async function addFiles(files, onAdded) {
  for (const file of files) {
    const name = file.name || "pasted picture";
    try {
      const content = await inMemory(file, name);
      if (isPdf(await headOf(content))) await addPdf(content, name, onAdded);
      else await addBlob(content, name, onAdded);
    } catch (error) {
      toast(error.message);
    }
  }
}

async function addPdf(file, name, onAdded) {
  const { pages, previews } = await pdfPreviews(file, 1);
  const chosen = pages === 1 ? [1] : await choosePages(file, name, pages, previews);
  for (const page of chosen) {
    toast(`Rendering page ${page}…`);
    await addBlob(await pdfPage(file, page), pages === 1 ? name : `${name}, page ${page}`, onAdded);
  }
  toast("");
}

/** Lets the user choose pages; resolves to their numbers. */
function choosePages(file, name, pages, first) {
  const dialog = byId("pages-dialog");
  const list = byId("pages");
  const more = byId("pages-more");
  const chosen = new Set();
  byId("pages-title").textContent = `${name}: ${pages} pages`;
  list.replaceChildren();
  let shown = 0;
  const tell = () => {
    byId("pages-add").disabled = chosen.size === 0;
    byId("pages-add").textContent = chosen.size > 1 ? `Add ${chosen.size} pages` : "Add page";
  };
  const show = (previews) => {
    for (const { page, image, error } of previews) {
      const box = html("input", {
        type: "checkbox", disabled: Boolean(error), "aria-label": `Page ${page}`,
        onchange: (event) => { chosen[event.target.checked ? "add" : "delete"](page); tell(); },
      });
      const picture = image ? html("img", { src: image, alt: "" }) : html("span", { class: "quiet" }, error);
      list.append(html("label", { class: "page" }, box, picture, html("span", {}, `${page}`)));
      shown = page;
    }
    more.hidden = shown >= pages;
  };
  show(first);
  tell();
  return new Promise((resolve) => {
    const end = (numbers) => {
      dialog.onclose = null;
      dialog.close();
      resolve(numbers);
    };
    more.onclick = async () => {
      more.disabled = true;
      try {
        show((await pdfPreviews(file, shown + 1)).previews);
      } catch (error) {
        toast(error.message);
      }
      more.disabled = false;
    };
    byId("pages-cancel").onclick = () => end([]);
    dialog.onclose = () => end([]);
    byId("pages-add").onclick = () => end([...chosen].sort((one, other) => one - other));
    dialog.showModal();
  });
}

/** Adds a part of a picture as a picture of its own. */
export async function cutOut(picture, box, onAdded) {
  const [left, top, right, bottom] = [Math.floor(box[0]), Math.floor(box[1]), Math.ceil(box[2]), Math.ceil(box[3])];
  const canvas = html("canvas", { width: right - left, height: bottom - top });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // what is transparent lies on white for the model, too
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture.image, -left, -top);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  try {
    await addBlob(blob, `${picture.name}, cut out at ${left}, ${top}`, onAdded, { picture, left, top });
  } catch (error) {
    toast(error.message);
  }
}

/** Takes a picture out again that no answer has seen. */
export function removePicture(picture) {
  const conversation = state.current;
  conversation.pictures = conversation.pictures.filter((one) => one !== picture);
  conversation.marks = conversation.marks.filter((mark) => mark.picture !== picture);
  if (state.picture === picture) state.picture = conversation.pictures.at(-1) ?? null;
  // a question without an answer still shows it
  if (!conversation.turns.some(({ shown }) => shown.includes(picture))) URL.revokeObjectURL(picture.url);
}

/** A picture as the address in which it is sent. */
export function dataAddress(picture) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onerror = () => reject(new Error(`${picture.name}: can no longer be read`));
    reader.onload = () => {
      const base64 = reader.result.slice(reader.result.indexOf(",") + 1);
      const type = /^image\/[\w.+-]{1,60}$/.test(picture.blob.type) ? picture.blob.type : "image/x-unknown";
      resolve(`data:${type};base64,${base64}`);
    };
    reader.readAsDataURL(picture.blob);
  });
}

/** Takes what is pasted or dropped anywhere on the page. */
export function listen(onAdded) {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    addFiles(files, onAdded);
  });
  const veil = byId("drop");
  const intoText = (event) => Boolean(event.target.closest?.("textarea, input"));
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event) && intoText(event)) return;
    event.preventDefault();
    veil.hidden = !hasFiles(event);
  });
  document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) veil.hidden = true; });
  document.addEventListener("drop", (event) => {
    veil.hidden = true;
    if (!hasFiles(event) && intoText(event)) return;
    event.preventDefault(); // a link would be opened in place of the page
    if (!hasFiles(event)) toast("Only files can be dropped: this page opens no addresses.");
    addFiles([...event.dataTransfer.files], onAdded);
  });
  byId("file").addEventListener("change", (event) => {
    addFiles([...event.target.files], onAdded);
    event.target.value = "";
  });
  for (const id of ["choose", "attach"]) byId(id).addEventListener("click", () => byId("file").click());
}
