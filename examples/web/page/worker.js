// Reads pages beside the page's own thread. In: { number, file } with a Blob. Out: { number, kind, ... }.

import { Model } from "./model.js";
import { UnreadableError, readPage } from "./reading.js";

const MOST_PIXELS = 100_000_000;

const model = (async () => {
  const start = performance.now();
  const loaded = await Model.load("nano");
  postMessage({ kind: "ready", time: performance.now() - start, version: loaded.version });
  return loaded;
})();
model.catch((error) => postMessage({ kind: "broken", message: `The model does not load: ${error.message}` }));

/** The pixels of a file, upright and on white, in RGBA. */
async function pixelsOf(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new UnreadableError("This browser cannot open the file as a picture.");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new UnreadableError(`A picture of ${width} x ${height} pixels is too large.`);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new UnreadableError(`A picture of ${width} x ${height} pixels is too large for this browser.`);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, channels: 4, data: context.getImageData(0, 0, width, height).data };
}

class Abandoned extends Error {}

let newest = 0;
let last = Promise.resolve();

/** Tells the page something; throws if it has sent another picture since, which arrives while this waits. */
async function tell(number, message) {
  if (number === newest) postMessage({ number, ...message });
  await new Promise((resume) => setTimeout(resume));
  if (number !== newest) throw new Abandoned();
}

async function read(number, file) {
  const start = performance.now();
  const image = await pixelsOf(file);
  const open = performance.now() - start;
  await tell(number, { kind: "opened", width: image.width, height: image.height });
  const found = await readPage(await model, image, (message) => tell(number, message));
  await tell(number, { kind: "done", ...found, times: { open, ...found.times } });
}

addEventListener("message", ({ data: { number, file } }) => {
  newest = number;
  last = last.then(() => read(number, file)).catch((error) => {
    if (error instanceof Abandoned || number !== newest) return;
    const message = error instanceof UnreadableError ? error.message : `Something went wrong: ${error.message}`;
    postMessage({ number, kind: "failed", message });
  });
});
