// From letters to lines: components next to each other at the same height are chained. Port of chains.py.

import { groups, heightOf, pairsToTheRight, union, widthOf } from "./components.js";
import { SMALL } from "./rules.js";

const GAP = 1.8; // largest gap inside a line, in heights of the taller letter
const OVERLAP = 0.4; // smallest common share of the shorter letter's height
const RATIO = 4; // largest ratio of the heights of two letters of a line
const BRIDGE = 2.2; // smallest height, in units, of two touching letters of different lines

/** Pieces of lines: { members, box }, in no order. `walls` are vertical rules, which no line crosses. */
export function chain(boxes, usable, walls, width, unit) {
  const letters = boxes.map((_, k) => k).filter((k) => {
    const [wide, high] = [widthOf(boxes[k]), heightOf(boxes[k])];
    return usable[k] && high >= SMALL * unit && (wide > 1 || high > unit);
  });
  if (!letters.length) return [];
  const some = letters.map((k) => boxes[k]);
  const pairs = neighbours(some, walls, width);
  const bridges = bridgesOf(some, pairs).map((bridge, k) => bridge && heightOf(some[k]) > BRIDGE * unit);
  const kept = pairs.filter(([a, b]) => !bridges[a] && !bridges[b]);
  let pieces = groups(letters.length, kept).filter((group) => !group.every((k) => bridges[k]));
  pieces = joined(pieces.map((piece) => piece.map((k) => letters[k])), boxes);
  const around = pieces.map((piece) => union(piece.map((k) => boxes[k])));
  const own = pieces.map((piece) => [...piece]);
  const taken = new Set(letters);
  boxes.forEach((box, k) => {
    const owner = usable[k] && !taken.has(k) ? nearest(box, around) : -1;
    if (owner >= 0) own[owner].push(k);
  });
  const spanning = letters.filter((_, k) => bridges[k]);
  return own.map((members) => {
    const box = union(members.map((k) => boxes[k]));
    return { members: [...members.sort((a, b) => a - b), ...crossing(boxes, spanning, box)], box };
  });
}

const common = (one, other) => Math.min(one[3], other[3]) - Math.max(one[1], other[1]);

/** Pairs of letters that are next to each other, the left one first. */
function neighbours(boxes, walls, width) {
  const heights = boxes.map(heightOf);
  const tallest = heights.reduce((a, b) => Math.max(a, b));
  const reach = boxes.map((box, k) => box[2] + GAP * Math.min(heights[k] * RATIO, tallest));
  const free = (one, other) => {
    const row = Math.floor((Math.max(one[1], other[1]) + Math.min(one[3], other[3])) / 2) * width;
    const start = Math.max(Math.min(one[2], other[0]) - 1, 0);
    for (let x = start + 1; x <= other[0]; x++) if (walls[row + x]) return false;
    return true;
  };
  return [...pairsToTheRight(boxes.map((box) => box[0]), reach)].filter(([a, b]) => {
    const [one, other] = [boxes[a], boxes[b]];
    const [low, high] = [Math.min(heights[a], heights[b]), Math.max(heights[a], heights[b])];
    return common(one, other) >= OVERLAP * low && other[0] - one[2] <= GAP * high && high <= RATIO * low && free(one, other);
  });
}

/** Which components have neighbours on one side that lie above each other: touching letters, or a tall capital. */
function bridgesOf(boxes, pairs) {
  const lowestTop = boxes.map(() => 0);
  const highestBottom = boxes.map(() => Infinity);
  const note = (one, other) => {
    if (heightOf(boxes[other]) * 1.5 >= heightOf(boxes[one])) return;
    lowestTop[one] = Math.max(lowestTop[one], boxes[other][1]);
    highestBottom[one] = Math.min(highestBottom[one], boxes[other][3]);
  };
  for (const [a, b] of pairs) {
    note(a, b);
    note(b, a);
  }
  return lowestTop.map((top, k) => top > highestBottom[k]);
}

/** Joins pieces that lie within each other. */
function joined(pieces, boxes) {
  const around = pieces.map((piece) => union(piece.map((k) => boxes[k])));
  const pairs = pairsToTheRight(around.map((box) => box[0]), around.map((box) => box[2] - 1));
  const same = [...pairs].filter(([a, b]) => {
    const [one, other] = [around[a], around[b]];
    const [low, high] = [heightOf(one), heightOf(other)].sort((c, d) => c - d);
    const inside = other[2] <= one[2] && other[1] >= one[1] && other[3] <= one[3];
    return (inside || high < 2.5 * low) && common(one, other) > 0.7 * low;
  });
  return groups(pieces.length, same).map((group) => group.flatMap((k) => pieces[k]));
}

/** The line that a dot, comma or dash belongs to, -1 if none is near. */
function nearest(mark, lines) {
  const [x, y] = [(mark[0] + mark[2]) / 2, (mark[1] + mark[3]) / 2];
  let [best, least] = [-1, Infinity];
  lines.forEach(([left, top, right, bottom], k) => {
    const high = bottom - top;
    const aside = Math.max(left - x, x - right, 0);
    const above = Math.max(top - y, y - bottom, 0);
    if (aside > 0.8 * high || above > 0.35 * high) return;
    const distance = above + 0.5 * aside + 0.1 * Math.abs((top + bottom) / 2 - y);
    if (distance < least) [best, least] = [k, distance];
  });
  return best;
}

/** The letters spanning several lines that reach into the middle of a line, at it or next to it. */
function crossing(boxes, bridges, box) {
  const high = heightOf(box);
  return bridges.filter((k) => boxes[k][0] < box[2] + high && boxes[k][2] > box[0] - high && common(boxes[k], box) > 0.5 * high);
}
