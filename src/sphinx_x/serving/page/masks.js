// Masks of boxes, where the server has a model that makes them.

import { masksOf } from "./api.js";
import { toast } from "./dom.js";
import { dataAddress } from "./pictures.js";
import { state } from "./state.js";

const AT_ONCE = 32;
const keyOf = (box) => box.map((number) => number.toFixed(1)).join(" ");

/** The mask of a box as an SVG path of whole pixels; null where none is known, or masks are not shown. */
export const maskOf = (picture, box) => (state.masks && picture.masks.get(keyOf(box))) || null;

/** From runs of pixels down the columns, the first one outside, to a path. */
function pathOf({ size: [height], counts }) {
  const parts = [];
  let at = 0;
  counts.forEach((count, number) => {
    const end = at + count;
    while (number % 2 && at < end) {
      const [x, y] = [Math.floor(at / height), at % height];
      const length = Math.min(end - at, height - y);
      parts.push(`M${x} ${y}h1v${length}h-1z`);
      at += length;
    }
    at = end;
  });
  return parts.join("");
}

/**
 * Asks for the masks of boxes that are not known yet.
 *
 * @param {object} picture on which the boxes lie
 * @param {number[][]} boxes in its pixels
 * @param {() => void} onChange called when there are more
 */
export async function fetchMasks(picture, boxes, onChange) {
  if (!state.masks) return;
  const missing = boxes.filter((box) => !picture.masks.has(keyOf(box)) && box[0] < box[2] && box[1] < box[3]);
  for (const box of missing) picture.masks.set(keyOf(box), ""); // asked for
  while (missing.length) {
    const asked = missing.splice(0, AT_ONCE);
    try {
      const found = await masksOf(state.model.name, await dataAddress(picture), asked);
      asked.forEach((box, number) => picture.masks.set(keyOf(box), pathOf(found.data[number])));
    } catch (error) {
      for (const box of [...asked, ...missing]) picture.masks.delete(keyOf(box)); // to be asked for again
      toast(`No masks: ${error.message}`);
      return;
    }
    onChange();
  }
}
