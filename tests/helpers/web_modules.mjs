// Runs modules of examples/web/page for tests: one question a line in JSON, [name, ...arguments], and one answer a line.
// Images come with their pixels in base64; arrays of numbers go back as lists.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const module = (name) => import(new URL(name, pathToFileURL(`${process.argv[2]}/`)));
const { layFlat } = await module("lines/page.js");
const { planViews, renderViews, viewIds } = await module("views.js");

const answers = {
  /** The lines of a page, and the pictures of their pieces at most so many pixels wide. */
  lines(image, widest) {
    const page = layFlat(image);
    const { angle, scale, unit } = page;
    const lines = page.lines.map((line) => {
      const best = page.bestScale(line);
      const pieces = page.pieces(line, widest / best).map((piece) => page.picture(piece, best));
      return { box: page.lineBox(line), row: line.row, scale: best, pieces };
    });
    return { angle, scale, unit, lines };
  },
  views(width, height, grid, tokens, tokensPerView) {
    const plan = planViews(width, height, grid);
    return { ...plan, ids: viewIds(plan, tokens, tokensPerView) };
  },
  pixels: (picture, grid) => renderViews(picture, planViews(picture.width, picture.height, grid), grid),
};

const read = (_, value) =>
  value?.pixels === undefined ? value : { ...value, data: new Uint8Array(Buffer.from(value.pixels, "base64")) };
const write = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line, read);
  console.log(JSON.stringify(answers[name](...given), write));
}
