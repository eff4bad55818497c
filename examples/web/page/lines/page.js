// A page laid flat: upright dark ink on white, its lines, and the way back to the image's pixels. Port of page.py.

import { chain } from "./chains.js";
import { Components, clip, grown, heightOf, median, widthOf } from "./components.js";
import { flatten } from "./ground.js";
import { readingOrder } from "./order.js";
import { BICUBIC, LANCZOS, resize, resizeReduced, roundEven, toGrey, transform } from "./resample.js";
import { findRules, isLeader, isNoText } from "./rules.js";
import { findAngle } from "./skew.js";

export const MARGIN = 3; // white pixels around a line, as in training
const INK = 80; // how far ink differs from white, after `flatten`
const UNIT = 12; // height of a typical letter at 150 dots per inch
const [SMALL, LARGE] = [0.75, 1.9]; // beyond these multiples of UNIT a page is scaled first
const WORD_GAP = 0.2; // smallest gap between words, in heights of the line
const SPECK = 0.012; // largest area of dust, in squares of a typical letter's height
const [LOW, FEW] = [0.7, 3]; // no line is lower, in typical letters, with at most so many components
const MANY = 12_000; // no page has so many letters
const EDGE = 1; // of the soft edge around ink

/** The lines of an image ({ width, height, channels, data }) of a page. */
export function layFlat(image) {
  const page = new FlatPage(image, 1);
  if (!page.lines.length || (page.unit >= SMALL * UNIT && page.unit <= LARGE * UNIT)) return page;
  const scale = Math.min(Math.max((1.15 * UNIT) / page.unit, 0.1), 3);
  return new FlatPage(image, Math.min(scale, Math.sqrt(12e6 / (image.width * image.height))));
}

const inkOf = (grey) => grey.data.map((value) => (255 - value > INK ? 1 : 0));

/** A page: `lines` ({ box, members, row }) in reading order, `unit` the height of a typical letter. */
class FlatPage {
  constructor(image, scale) {
    Object.assign(this, { scale, size: [image.width, image.height], unit: 0, lines: [] });
    const [width, height] = this.size.map((side) => Math.max(1, roundEven(side * scale)));
    const scaled = scale === 1 ? image : resizeReduced(image, width, height, BICUBIC, 3);
    this.grey = flatten(toGrey(scaled));
    this.angle = findAngle(inkOf(this.grey), width);
    if (this.angle) this.grey = upright(this.grey, this.angle);
    this.ink = new Components(inkOf(this.grey), this.grey.width, this.grey.height);
    this.unit = usualHeight(this.ink);
    if (!this.unit) return;
    const { text, walls } = textOf(this.ink, this.unit);
    this.ink = text;
    if (text.length <= MANY) this.lines = linesOf(text, walls, this.unit);
  }

  /** The box of a line in pixels of the image. */
  lineBox({ members, box: [left, top, right, bottom] }) {
    const own = new Set(members.map((k) => k + 1));
    const { labels, width } = this.ink;
    let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
    const plain = this.angle === 0 && this.scale === 1;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        if (!own.has(labels[y * width + x])) continue;
        const [u, v] = plain ? [x, y] : this.toPicture(x + 0.5, y + 0.5);
        [x1, y1, x2, y2] = [Math.min(x1, u), Math.min(y1, v), Math.max(x2, u), Math.max(y2, v)];
      }
    }
    if (plain) return [x1, y1, x2 + 1, y2 + 1];
    const half = 0.5 / this.scale;
    return [
      Math.max(Math.floor(x1 - half), 0), Math.max(Math.floor(y1 - half), 0),
      Math.min(Math.ceil(x2 + half), this.size[0]), Math.min(Math.ceil(y2 + half), this.size[1]),
    ];
  }

  /** A point of the flat page in pixels of the image. */
  toPicture(x, y) {
    const turn = this.angle * (Math.PI / 180);
    const [sin, cos] = [Math.sin(turn), Math.cos(turn)];
    const [u, v] = [x - this.grey.width / 2, y - this.grey.height / 2];
    return [(u * cos + v * sin) / this.scale + this.size[0] / 2, (v * cos - u * sin) / this.scale + this.size[1] / 2];
  }

  /** Some components of a line as a line. */
  part(line, members) {
    const boxes = members.map((k) => this.ink.boxes[k]);
    const top = Math.max(Math.min(...boxes.map((box) => box[1])), line.box[1]);
    const bottom = Math.min(Math.max(...boxes.map((box) => box[3])), line.box[3]);
    const [left, right] = [Math.min(...boxes.map((box) => box[0])), Math.max(...boxes.map((box) => box[2]))];
    return { box: [left, top, right, bottom], members, row: line.row };
  }

  /** The words of a line, cut at gaps of about a fifth of its height. */
  words(line) {
    const { boxes } = this.ink;
    const order = line.members.map((_, k) => k).sort((a, b) => boxes[line.members[a]][0] - boxes[line.members[b]][0]);
    const least = Math.max(3, roundEven(heightOf(line.box) * WORD_GAP));
    const found = [];
    let reached = -Infinity;
    for (const k of order) {
      const box = boxes[line.members[k]];
      if (!found.length || box[0] - reached > least) found.push([]);
      found.at(-1).push(k);
      reached = Math.max(reached, box[2]);
    }
    return found.map((part) => this.part(line, part.sort((a, b) => a - b).map((k) => line.members[k])));
  }

  /** A line cut between words, as rarely as possible so that no piece is wider than `widest`; no word is cut. */
  pieces(line, widest) {
    if (widthOf(line.box) <= widest) return [line];
    const found = [];
    for (const word of this.words(line)) {
      const last = found.at(-1);
      if (last && word.box[2] - last.box[0] <= widest) {
        found[found.length - 1] = this.part(line, [...last.members, ...word.members]);
      } else found.push(word);
    }
    return found;
  }

  /** A grey image of a line alone on white, scaled, with margins as in training. */
  picture(line, scale = 1) {
    const around = 2 * EDGE;
    const [x1, y1, x2, y2] = clip(grown(line.box, around), this.grey.width, this.grey.height);
    const [width, height] = [x2 - x1, y2 - y1];
    const members = new Set(line.members.map((k) => k + 1));
    const [own, others] = [new Uint8Array(width * height), new Uint8Array(width * height)];
    const data = new Uint8Array(width * height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        const from = (y + y1) * this.grey.width + x + x1;
        const label = this.ink.labels[from];
        own[at] = members.has(label) ? 1 : 0;
        others[at] = label && !own[at] ? 1 : 0;
        data[at] = this.grey.data[from];
      }
    }
    const [near, close] = [around, EDGE].map((by) => spread(own, width, height, by));
    const foreign = spread(others, width, height, EDGE);
    data.forEach((_, k) => {
      if (!near[k] || (foreign[k] && !close[k]) || others[k]) data[k] = 255;
    });
    let shown = { width, height, channels: 1, data };
    if (scale !== 1) {
      const [wide, high] = [width, height].map((side) => Math.max(1, roundEven(side * scale)));
      shown = resize(shown, wide, high, scale > 1 ? BICUBIC : LANCZOS);
    }
    return framed(shown, Math.max(MARGIN - around, 0));
  }

  /** The scale at which a line's letters are as tall as in the training data; 1 if they nearly are. */
  bestScale(line) {
    const heights = line.members.map((k) => heightOf(this.ink.boxes[k]));
    const tallest = Math.max(...heights);
    const usual = median(heights.filter((high) => high > 0.35 * tallest));
    const high = heightOf(line.box);
    const wanted = Math.min(usual < 0.72 * high ? UNIT / usual : 15 / usual, 26 / high);
    return wanted >= 0.85 && wanted <= 1.2 ? 1 : wanted;
  }
}

/** A mask with everything within `by` pixels of it. */
function spread(mask, width, height, by) {
  const out = new Uint8Array(mask.length);
  mask.forEach((value, k) => {
    if (!value) return;
    const [x, y] = [k % width, Math.floor(k / width)];
    for (let v = Math.max(y - by, 0); v <= Math.min(y + by, height - 1); v++) {
      out.fill(1, v * width + Math.max(x - by, 0), v * width + Math.min(x + by, width - 1) + 1);
    }
  });
  return out;
}

function framed({ width, height, data }, margin) {
  const wide = width + 2 * margin;
  const out = new Uint8Array(wide * (height + 2 * margin)).fill(255);
  for (let y = 0; y < height; y++) out.set(data.subarray(y * width, (y + 1) * width), (y + margin) * wide + margin);
  return { width: wide, height: height + 2 * margin, channels: 1, data: out };
}

/** Rotates clockwise by `angle` about the middle, on a sheet that is large enough. */
function upright(grey, angle) {
  const { width, height } = grey;
  const turn = angle * (Math.PI / 180);
  const [sin, cos] = [Math.sin(turn), Math.cos(turn)];
  const wide = Math.ceil(width * cos + height * Math.abs(sin));
  const high = Math.ceil(height * cos + width * Math.abs(sin));
  const [x, y] = [width / 2 - (wide * cos + high * sin) / 2, height / 2 - (high * cos - wide * sin) / 2];
  return transform(grey, wide, high, [cos, sin, x, -sin, cos, y]);
}

/** The median height of possible letters; 0 if there are none. */
function usualHeight({ boxes, areas }) {
  const letters = boxes.filter((box, k) => {
    const [w, h] = [widthOf(box), heightOf(box)];
    return h >= 4 && w >= 2 && areas[k] >= 8 && w < 8 * h && h < 12 * w;
  });
  return letters.length ? median(letters.map(heightOf)) : 0;
}

/** The components without rules, frames and other non-text, and the vertical rules. */
function textOf(found, unit) {
  const { width, height, labels } = found;
  const [flat, walls] = findRules(labels.map((label) => (label ? 1 : 0)), width, height, unit);
  const rules = flat.map((value, k) => value | walls[k]);
  const leftOut = isNoText(found, rules, unit);
  const least = Math.max(2, SPECK * unit * unit);
  const kept = found.mask(leftOut.map((out, k) => !out && found.areas[k] > least));
  return { text: new Components(kept.map((value, k) => (rules[k] ? 0 : value)), width, height), walls };
}

function linesOf(text, walls, unit) {
  const leaders = isLeader(text.boxes, unit);
  const noText = isNoText(text, null, unit);
  const chains = chain(text.boxes, text.boxes.map((_, k) => !leaders[k] && !noText[k]), walls, text.width, unit);
  const low = ({ box, members }) => heightOf(box) < LOW * unit && members.length <= FEW; // dust or a dash
  const rows = readingOrder(chains.map((piece) => piece.box), unit).filter((row) => !row.every((k) => low(chains[k])));
  return rows.flatMap((row, number) => row.map((k) => ({ ...chains[k], row: number })));
}
