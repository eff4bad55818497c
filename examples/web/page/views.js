// What the model sees of a line: the canvas, its views, and the skip tokens of those that no part of the line touches.
// Port of plan_views, view_ids and render_views for members that put a picture into the corner.

import { BICUBIC, resize } from "./lines/resample.js";

const floor = (part, whole) => (part - (part % whole)) / whole; // of whole numbers, without a fraction's rounding
const ceil = (part, whole) => floor(part + whole - 1, whole);

/** Where a picture lies on the canvas, and which views it touches. `grid` has rows, columns, and a view's size. */
export function planViews(width, height, grid) {
  const { rows, columns } = grid;
  const canvas = rows * grid.view_height;
  const side = Math.max(width, height, canvas);
  const size = [ceil(width * canvas, side), ceil(height * canvas, side)];
  const [right, bottom] = [ceil(width * columns, side), ceil(height * rows, side)];
  const kept = Array.from({ length: rows * columns }, (_, k) => k % columns < right && floor(k, columns) < bottom);
  const count = kept.filter(Boolean).length;
  return { grid, canvas, size, kept, views: count, skipped: kept.length - count };
}

/** The ids of a picture: of each kept view its start, slots and end; of each skipped one a skip token. */
export function viewIds({ kept }, { start, slot, end, skip }, tokensPerView) {
  const view = [start, ...Array(tokensPerView).fill(slot), end];
  return kept.flatMap((one) => (one ? view : [skip]));
}

/** The kept views of a grey picture: values from 0 to 1, (views, 3, height, width), one after another. */
export function renderViews(picture, plan, grid) {
  const [width, height] = plan.size;
  const content = width === picture.width && height === picture.height ? picture : resize(picture, width, height, BICUBIC);
  const [wide, high] = [grid.view_width, grid.view_height];
  const area = wide * high;
  const out = new Float32Array(plan.views * 3 * area).fill(1);
  let at = 0;
  plan.kept.forEach((kept, number) => {
    if (!kept) return;
    const [left, top] = [(number % grid.columns) * wide, floor(number, grid.columns) * high];
    for (let y = top; y < Math.min(top + high, height); y++) {
      for (let x = left; x < Math.min(left + wide, width); x++) {
        const value = content.data[y * width + x] / 255;
        for (let c = 0; c < 3; c++) out[at + c * area + (y - top) * wide + x - left] = value;
      }
    }
    at += 3 * area;
  });
  return out;
}
