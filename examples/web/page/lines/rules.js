// Ink that is not text: rules, frames and table lines, tick boxes, solid blocks, leaders of dots. Port of rules.py.

import { Components, groups, heightOf, pairsToTheRight, runs, widthOf } from "./components.js";

const LONG = 2.5; // smallest length of a rule, in units (heights of a typical letter)
const SLENDER = 12; // smallest ratio of a rule's length to its thickness
const MOSTLY = 0.8; // a component of which more than this is rules is a frame
const FLAT = 8; // so many times longer than thick: left over from an uneven rule
const LEADER = 5; // dots or dashes in a row that make a leader
export const SMALL = 0.45; // smaller, in units: a dot or a dash

function transposed(mask, width, height) {
  const out = new Uint8Array(mask.length);
  for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++) out[x * height + y] = mask[at++];
  return out;
}

/** Masks of the horizontal and the vertical rules of an upright page. */
export function findRules(ink, width, height, unit) {
  const upright = rulesOf(transposed(ink, width, height), height, width, 2 * LONG * unit);
  return [rulesOf(ink, width, height, LONG * unit), transposed(upright, height, width)];
}

/** What lies in horizontal runs of at least `least` pixels that are slender as a whole. */
function rulesOf(ink, width, height, least) {
  const long = new Uint8Array(ink.length);
  for (const { row, start, end } of runs(ink, width, height)) {
    if (end - start >= least) long.fill(1, row * width + start, row * width + end);
  }
  const found = new Components(long, width, height);
  const beside = besideOf(found, ink);
  return found.mask(found.boxes.map((box, k) => {
    const thick = found.areas[k] / widthOf(box);
    const slim = widthOf(box) >= SLENDER * thick && heightOf(box) <= Math.max(3 * thick, 6);
    return slim && beside[k] < widthOf(box);
  }));
}

/** How many pixels above and below each rule are ink: a slice of a thick stroke has ink all along. */
function besideOf({ width, labels, length }, ink) {
  const counts = new Int32Array(length + 1);
  ink.forEach((value, k) => {
    if (!value || labels[k]) return;
    if (k + width < labels.length) counts[labels[k + width]]++;
    if (k >= width) counts[labels[k - width]]++;
  });
  return counts.subarray(1);
}

/** Which components are frames, tick boxes, solid blocks or pictures. */
export function isNoText(ink, rules, unit) {
  const shares = rules ? ink.shareOf(rules) : new Float64Array(ink.length);
  const sizes = ink.boxes.map((box) => [widthOf(box), heightOf(box)]);
  const solid = sizes.map(([w, h], k) => ink.areas[k] > 0.92 * w * h && Math.min(w, h) >= 0.8 * unit);
  const letters = ink.boxes.filter((_, k) => !solid[k]);
  return sizes.map(([w, h], k) => {
    const [least, most] = [Math.min(w, h), Math.max(w, h)];
    const square = least >= unit && most <= 1.35 * least && least <= 5 * unit;
    return (
      shares[k] > MOSTLY
      || (solid[k] && !hasCompany(ink.boxes[k], letters))
      || h > 14 * unit || (w > 40 * unit && h > 4 * unit)
      || (w > 3 * unit && w > FLAT * h) || (h > 3 * unit && h > FLAT * w)
      || (square && isBox(ink, k))
    );
  });
}

/** Whether a solid block is next to a letter that is at least about as tall, as a large i or l is. */
function hasCompany([x1, y1, x2, y2], letters) {
  return letters.some(([left, top, right, bottom]) => {
    const high = bottom - top;
    const level = Math.min(bottom, y2) > Math.max(top - 0.4 * high, y1) && high >= 0.7 * (y2 - y1);
    const close = left < x2 + 0.6 * high && right > x1 - 0.6 * high && high <= 8 * (y2 - y1);
    return level && close && x2 - x1 < high;
  });
}

/** Whether ink runs along all four sides of a component. */
function isBox({ boxes, labels, width }, number) {
  const [left, top, right, bottom] = boxes[number];
  const [wide, high] = [right - left, bottom - top];
  const edge = Math.max(2, Math.min(wide, high) >> 3);
  const own = (x, y) => labels[(top + y) * width + left + x] === number + 1;
  const full = (length, depth, at) => {
    let count = 0;
    for (let k = 0; k < length; k++) {
      for (let d = 0; d < Math.min(edge, depth); d++) {
        if (at(k, d)) {
          count++;
          break;
        }
      }
    }
    return count / length > 0.9;
  };
  return full(wide, high, own) && full(wide, high, (k, d) => own(k, high - 1 - d))
    && full(high, wide, (k, d) => own(d, k)) && full(high, wide, (k, d) => own(wide - 1 - d, k));
}

/** Which boxes are one of many dots or dashes in a row, without a letter below as an i has. */
export function isLeader(boxes, unit) {
  const small = boxes.map((box) => heightOf(box) < SMALL * unit && widthOf(box) < 3 * unit);
  const result = boxes.map(() => false);
  const numbers = boxes.map((_, k) => k).filter((k) => small[k]);
  if (numbers.length < LEADER) return result;
  const some = numbers.map((k) => boxes[k]);
  const middle = some.map((box) => (box[1] + box[3]) / 2);
  const pairs = pairsToTheRight(some.map((box) => box[0]), some.map((box) => box[2] + 1.5 * unit));
  const near = [...pairs].filter(([a, b]) => some[b][0] - some[a][2] >= -1 && Math.abs(middle[a] - middle[b]) < 0.3 * unit);
  for (const group of groups(numbers.length, near)) {
    if (group.length >= LEADER) for (const k of group) result[numbers[k]] = true;
  }
  const others = boxes.filter((_, k) => !small[k]);
  return result.map((dot, k) => {
    const [left, top, right, bottom] = boxes[k];
    return dot && !others.some((box) => box[0] < right && box[2] > left
      && box[1] < bottom + 0.5 * unit && box[3] > top - 0.5 * unit);
  });
}
