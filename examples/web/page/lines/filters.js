// Pillow's filters of grey images, to the last bit. Beyond the edges an image goes on with its outermost pixels.

const grey = (width, height) => ({ width, height, channels: 1, data: new Uint8Array(width * height) });
const within = (k, count) => Math.min(Math.max(k, 0), count - 1);

/** The pixels of an image, the other way round in x and y. */
function turned({ width, height, data }) {
  const out = grey(height, width);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) out.data[x * height + y] = data[at++];
  }
  return out;
}

const both = (image, once) => turned(once(turned(once(image))));

function extreme(image, side, better) {
  const half = side >> 1;
  return both(image, ({ width, height, data }) => {
    const out = grey(width, height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let best = data[y * width + within(x - half, width)];
        for (let k = x - half + 1; k <= x + half; k++) best = better(best, data[y * width + within(k, width)]);
        out.data[at++] = best;
      }
    }
    return out;
  });
}

/** The smallest and the largest value in a square window. */
export const smallest = (image, side) => extreme(image, side, (a, b) => (b < a ? b : a));
export const largest = (image, side) => extreme(image, side, (a, b) => (b > a ? b : a));

/** The median in a square window, by a histogram that moves along each row. */
export function median(image, side) {
  const { width, height, data } = image;
  const [half, rank] = [side >> 1, (side * side) >> 1];
  const out = grey(width, height);
  const counts = new Int32Array(256);
  for (let y = 0; y < height; y++) {
    const rows = Array.from({ length: side }, (_, k) => within(y - half + k, height) * width);
    counts.fill(0);
    for (const row of rows) for (let k = -half; k <= half; k++) counts[data[row + within(k, width)]]++;
    let [found, below] = [0, 0]; // the median, and how many are smaller
    for (let x = 0; x < width; x++) {
      if (x) {
        const [gone, come] = [within(x - 1 - half, width), within(x + half, width)];
        for (const row of rows) {
          const [a, b] = [data[row + gone], data[row + come]];
          counts[a]--;
          counts[b]++;
          below += (b < found) - (a < found);
        }
      }
      while (below > rank) below -= counts[--found];
      while (below + counts[found] <= rank) below += counts[found++];
      out.data[y * width + x] = found;
    }
  }
  return out;
}

/** `ImageFilter.BoxBlur`, whose radius may be a fraction, `times` in a row. */
export function boxBlur(image, radius, times = 1) {
  const whole = Math.trunc(radius);
  const inner = Math.trunc(Math.fround(2 ** 24 / (radius * 2 + 1))); // in float32
  const outer = Math.trunc((2 ** 24 - (whole * 2 + 1) * inner) / 2);
  const once = ({ width, height, data }) => {
    const out = grey(width, height);
    for (let y = 0; y < height; y++) {
      const at = (x) => data[y * width + within(x, width)];
      let sum = 0;
      for (let k = -whole; k <= whole; k++) sum += at(k);
      for (let x = 0; x < width; x++) {
        const value = sum * inner + (at(x - whole - 1) + at(x + whole + 1)) * outer;
        out.data[y * width + x] = Math.floor((value + 2 ** 23) / 2 ** 24);
        sum += at(x + whole + 1) - at(x - whole);
      }
    }
    return out;
  };
  const several = (picture) => Array.from({ length: times }).reduce(once, picture);
  return both(image, several);
}

/** `ImageFilter.GaussianBlur`: three box blurs (Gwosdek and others, 2011). */
export function gaussianBlur(image, sigma) {
  const part = (sigma * sigma) / 3;
  const whole = Math.floor((Math.sqrt(12 * part + 1) - 1) / 2);
  const rest = ((2 * whole + 1) * (whole * (whole + 1) - 3 * part)) / (6 * (part - (whole + 1) ** 2));
  return boxBlur(image, whole + rest, 3);
}

/** `Image.resize` with the nearest pixel. */
export function nearest({ width, height, data }, wide, high) {
  const out = grey(wide, high);
  const places = (from, to) => {
    const step = from / to;
    let at = step * 0.5;
    return Array.from({ length: to }, () => {
      const place = Math.trunc(at);
      at += step; // summed up, as Pillow does
      return place;
    });
  };
  const [columns, rows] = [places(width, wide), places(height, high)];
  rows.forEach((row, y) => columns.forEach((column, x) => {
    out.data[y * wide + x] = data[row * width + column];
  }));
  return out;
}
