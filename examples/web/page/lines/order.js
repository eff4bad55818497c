// Reading order of pieces of lines: cells of a row one after another, columns of prose as wholes. Port of order.py.

import { groups, heightOf, median, union, widthOf } from "./components.js";

const [NARROW, NARROW_RIGHT] = [6, 10]; // a narrower column, in units, holds numbers or marks
const [PROSE_WIDTH, PROSE_FILL] = [15, 0.7]; // smallest width of prose, and the share that its lines fill
const ALIGNED = 0.8; // share of the shorter column's rows that have a partner, in a table

/** Rows of pieces in reading order, each a list of numbers of boxes. */
export function readingOrder(boxes, unit) {
  let rows = boxes.map((_, k) => [k]);
  for (let joined = rows; joined; joined = joinOnce(rows, boxes, unit)) rows = joined;
  const around = rows.map((row) => union(row.map((k) => boxes[k])));
  return sorted(around, blocksOf(around, partnersOf(around), unit)).map((k) => rows[k]);
}

/** Joins the two closest columns that are a table; null if there are none. */
function joinOnce(rows, boxes, unit) {
  const around = rows.map((row) => union(row.map((k) => boxes[k])));
  const partners = partnersOf(around);
  if (!partners.length) return null;
  const block = blocksOf(around, partners, unit);
  const beside = new Map();
  for (const pair of partners) {
    const key = block[pair[0]] * around.length + block[pair[1]];
    beside.set(key, [...(beside.get(key) ?? []), pair]);
  }
  let [least, best] = [Infinity, null];
  for (const key of [...beside.keys()].sort((a, b) => a - b)) {
    const pairs = beside.get(key);
    const gap = median(pairs.map(([a, b]) => around[b][0] - around[a][2]));
    const [one, other] = pairs[0].map((k) => around.filter((_, row) => block[row] === block[k]));
    if (gap < least && isTable(one, other, pairs.length, unit)) [least, best] = [gap, pairs];
  }
  if (!best) return null;
  const follow = new Map(best);
  const taken = new Set(follow.values());
  return rows.flatMap((row, k) => (taken.has(k) ? [] : [[...row, ...(follow.has(k) ? rows[follow.get(k)] : [])]]));
}

/** Pairs of rows on one line with nothing between them, the left one first, one partner on each side. */
function partnersOf(around) {
  const count = around.length;
  const following = Array.from({ length: count }, () => [Infinity, 0]);
  const leading = Array.from({ length: count }, () => [Infinity, 0]);
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < count; b++) {
      const [one, other] = [around[a], around[b]];
      const common = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
      if (common <= 0.6 * Math.min(heightOf(one), heightOf(other)) || other[0] < one[2]) continue;
      const gap = other[0] - one[2];
      if (gap < following[a][0]) following[a] = [gap, b];
      if (gap < leading[b][0]) leading[b] = [gap, a];
    }
  }
  return following.flatMap(([gap, b], a) => (gap < Infinity && leading[b][1] === a ? [[a, b]] : []));
}

/** The number of each row's column: rows below each other, close, with a common edge. */
function blocksOf(around, partners, unit) {
  const apart = new Set(); // a row that spans two cells is in no column with either
  const share = (one, other) => Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  around.forEach((box, k) => {
    for (const [a, b] of partners) {
      if (share(box, around[a]) > 0 && share(box, around[b]) > 0) {
        for (const cell of [a, b]) apart.add(k * around.length + cell).add(cell * around.length + k);
      }
    }
  });
  const pairs = [];
  around.forEach((one, a) => around.forEach((other, b) => {
    const [low, high] = [heightOf(one), heightOf(other)].sort((c, d) => c - d);
    const below = other[1] - one[3];
    const edges = Math.min(Math.abs(one[0] - other[0]), Math.abs(one[2] - other[2])) < 1.5 * unit;
    if (
      high < 1.8 * low && edges && share(one, other) > 0.5 * Math.min(widthOf(one), widthOf(other))
      && below > -0.5 * high && below < 3.5 * high && other[1] > one[1] && !apart.has(a * around.length + b)
    ) pairs.push([a, b]);
  }));
  const block = new Int32Array(around.length);
  groups(around.length, pairs).forEach((group, number) => group.forEach((k) => (block[k] = number)));
  return block;
}

/** Whether two columns, the left one first, are read row by row. */
function isTable(one, other, pairs, unit) {
  const [fewer, more] = [one.length, other.length].sort((a, b) => a - b);
  if (pairs < ALIGNED * fewer) return false;
  if (isNarrow(one, unit) || isNarrow(other, unit)) return true;
  if (isProse(one, unit) && isProse(other, unit)) return false;
  return pairs === fewer && fewer === more;
}

const extent = (values) => Math.max(...values) - Math.min(...values);

function isNarrow(column, unit) {
  const [left, right] = [column.map((box) => box[0]), column.map((box) => box[2])];
  const flushRight = extent(right) < 0.4 * unit && extent(left) > unit;
  return Math.max(...right) - Math.min(...left) < (flushRight ? NARROW_RIGHT : NARROW) * unit;
}

/** Whether the lines of a column are long and fill it, except for the last one. */
function isProse(column, unit) {
  const widths = column.map(widthOf).sort((a, b) => b - a);
  const whole = widths.slice(0, Math.max(widths.length - 1, 1));
  const mean = whole.reduce((sum, value) => sum + value, 0) / whole.length;
  return column.length >= 3 && widths[0] >= PROSE_WIDTH * unit && mean >= PROSE_FILL * widths[0];
}

/** The order: top to bottom and, for columns side by side that nothing spans, left to right (Breuel 2003). */
function sorted(around, block) {
  const count = around.length;
  const numbers = around.map((_, k) => k);
  const middle = around.map((box) => (box[1] + box[3]) / 2);
  const over = around.map((one) => around.map((other) => Math.min(one[2], other[2]) > Math.max(one[0], other[0])));
  const before = numbers.map((a) => numbers.map((b) => over[a][b] && middle[a] < middle[b]));
  const first = numbers.map((k) => Math.min(...around.filter((_, row) => block[row] === block[k]).map((box) => box[1])));
  const last = numbers.map((k) => Math.max(...around.filter((_, row) => block[row] === block[k]).map((box) => box[3])));
  const beside = numbers.flatMap((a) => numbers.filter((b) =>
    first[a] < last[b] && first[b] < last[a] && around[a][2] <= around[b][0] && !before[b][a]).map((b) => [a, b]));
  for (const [one, other] of beside) {
    const [low, high] = [middle[one], middle[other]].sort((a, b) => a - b);
    before[one][other] = !numbers.some((k) => middle[k] > low && middle[k] < high && over[one][k] && over[other][k]);
  }
  const waiting = numbers.map((b) => numbers.filter((a) => before[a][b]).length);
  const rank = [...numbers].sort((a, b) => middle[a] - middle[b] || around[a][0] - around[b][0]);
  const order = [];
  const leftOver = new Set(rank);
  while (order.length < count) {
    const rest = rank.filter((k) => leftOver.has(k));
    const ready = rest.filter((k) => waiting[k] === 0);
    let chosen = ready[0] ?? rest[0];
    if (order.length) chosen = ready.find((k) => over[order.at(-1)][k]) ?? chosen; // on in the same column
    order.push(chosen);
    leftOver.delete(chosen);
    for (const k of numbers) waiting[k] -= before[chosen][k];
  }
  return order;
}
