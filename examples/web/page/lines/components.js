// Connected components of ink: runs of pixels in rows, joined where they touch. Port of components.py.

/** Runs of ink in the rows of a mask, in order: { row, start, end }, the end exclusive. */
export function runs(mask, width, height) {
  const found = [];
  for (let row = 0; row < height; row++) {
    for (let x = 0, at = row * width; x < width; x++) {
      if (!mask[at + x]) continue;
      const start = x;
      while (x < width && mask[at + x]) x++;
      found.push({ row, start, end: x });
    }
  }
  return found;
}

class Sets {
  constructor(count) {
    this.parents = Int32Array.from({ length: count }, (_, k) => k);
  }

  root(k) {
    const { parents } = this;
    while (parents[k] !== k) {
      parents[k] = parents[parents[k]];
      k = parents[k];
    }
    return k;
  }

  join(a, b) {
    const [one, other] = [this.root(a), this.root(b)];
    this.parents[Math.max(one, other)] = Math.min(one, other);
  }
}

/** Groups of the numbers 0 to `count` - 1 that pairs connect, each ascending, in the order of their first members. */
export function groups(count, pairs) {
  const sets = new Sets(count);
  for (const [one, other] of pairs) sets.join(one, other);
  const found = new Map();
  for (let k = 0; k < count; k++) {
    const root = sets.root(k);
    if (found.has(root)) found.get(root).push(k);
    else found.set(root, [k]);
  }
  return [...found.values()];
}

export const widthOf = (box) => box[2] - box[0];
export const heightOf = (box) => box[3] - box[1];

export const union = (boxes) => [
  Math.min(...boxes.map((box) => box[0])), Math.min(...boxes.map((box) => box[1])),
  Math.max(...boxes.map((box) => box[2])), Math.max(...boxes.map((box) => box[3])),
];

export const grown = ([left, top, right, bottom], by) => [left - by, top - by, right + by, bottom + by];

export const clip = ([left, top, right, bottom], width, height) =>
  [Math.max(left, 0), Math.max(top, 0), Math.min(right, width), Math.min(bottom, height)];

/** The components of a mask; pixels that touch at a corner are connected. Component k has label k + 1. */
export class Components {
  constructor(mask, width, height) {
    Object.assign(this, { width, height, labels: new Int32Array(width * height), boxes: [], areas: [] });
    const all = runs(mask, width, height);
    const sets = new Sets(all.length);
    let first = 0; // of the runs in the row above that may still touch
    all.forEach(({ row, start, end }, k) => {
      while (all[first].row < row - 1 || (all[first].row === row - 1 && all[first].end < start)) first++;
      for (let up = first; all[up].row === row - 1 && all[up].start <= end; up++) sets.join(up, k);
    });
    const numbers = new Int32Array(all.length);
    all.forEach(({ row, start, end }, k) => {
      const root = sets.root(k);
      if (root === k) {
        numbers[k] = this.boxes.length;
        this.boxes.push([start, row, end, row + 1]);
        this.areas.push(0);
      }
      const number = (numbers[k] = numbers[root]);
      const box = this.boxes[number];
      [box[0], box[2], box[3]] = [Math.min(box[0], start), Math.max(box[2], end), row + 1];
      this.areas[number] += end - start;
      this.labels.fill(number + 1, row * width + start, row * width + end);
    });
  }

  get length() {
    return this.boxes.length;
  }

  /** The ink of the components for which `chosen` holds a value that counts as true. */
  mask(chosen) {
    const of = Uint8Array.from([0, ...chosen], Number);
    const out = new Uint8Array(this.labels.length);
    for (let k = 0; k < out.length; k++) out[k] = of[this.labels[k]];
    return out;
  }

  /** The share of each component's ink that a mask covers. */
  shareOf(mask) {
    const counts = new Float64Array(this.length);
    this.labels.forEach((label, k) => {
      if (label && mask[k]) counts[label - 1]++;
    });
    return counts.map((count, k) => count / Math.max(this.areas[k], 1));
  }
}

/** Pairs of numbers in which the second begins between the start of the first and its reach. */
export function* pairsToTheRight(lefts, reaches) {
  const order = lefts.map((_, k) => k).sort((a, b) => lefts[a] - lefts[b]);
  for (let k = 0; k < order.length; k++) {
    for (let next = k + 1; next < order.length && lefts[order[next]] <= reaches[order[k]]; next++) {
      yield [order[k], order[next]];
    }
  }
}

/** The median of numbers; of an even count, the mean of the two in the middle. */
export function median(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
