// From a page to dark ink on white paper, whatever the light, the background and the noise. Port of ground.py, whose
// numbers are float32: `Math.fround` rounds where numpy does.

import { Components } from "./components.js";
import { boxBlur, gaussianBlur, largest, median, nearest, smallest } from "./filters.js";
import { roundEven } from "./resample.js";

const STEP = 3; // pixels between samples of the background
const [NEAR, FAR, EDGE] = [9, 25, 5]; // sides of windows, in steps
const [PANEL, PANEL_LENGTH] = [9, 20]; // smallest background of its own, in steps
const APART = 8; // difference between two backgrounds
const REACH = 41; // side of the window whose darkest ink becomes black
const [FAINTEST, SIGMAS] = [40, 14]; // ink that is weaker, or weaker than so much noise, is never made black
const [GRAINY, SOFTEN] = [6, 1]; // noise above which a page is blurred

const { fround } = Math;

/** A grey page as dark ink (0) on white (255). */
export function flatten(image) {
  let grey = image;
  let [low, high] = ground(grey);
  let noise = noiseOf(grey, low, high);
  if (noise > GRAINY) {
    grey = gaussianBlur(image, SOFTEN);
    [low, high] = ground(grey);
    noise = noiseOf(grey, low, high);
  }
  const { width, height, data } = grey;
  const strength = new Float32Array(data.length);
  const little = fround(1.5 * noise);
  eachSample(grey, (k, few) => {
    const ink = Math.max(low.data[few] - data[k], data[k] - high.data[few], 0);
    strength[k] = ink - Math.min(ink, little);
  });
  const strongest = localMaximum(strength, width, height);
  const least = fround(Math.max(FAINTEST, SIGMAS * noise));
  const out = new Uint8Array(data.length);
  eachSample(grey, (k, few) => {
    const share = Math.min(fround(strength[k] / Math.max(strongest.data[few], least)), 1);
    out[k] = Math.trunc(fround(255 - fround(255 * share)));
  });
  return { width, height, channels: 1, data: out };
}

/** Calls with the number of every pixel, and of the sample that it belongs to. */
function eachSample({ width, height }, call) {
  const columns = Math.ceil(width / STEP);
  for (let y = 0, k = 0; y < height; y++) {
    const row = Math.trunc(y / STEP) * columns;
    for (let x = 0; x < width; x++, k++) call(k, row + Math.trunc(x / STEP));
  }
}

function sampled({ width, height, data }) {
  const [columns, rows] = [Math.ceil(width / STEP), Math.ceil(height / STEP)];
  const out = new Uint8Array(columns * rows);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) out[at++] = data[y * STEP * width + x * STEP];
  }
  return { width: columns, height: rows, channels: 1, data: out };
}

/** Bounds of the background at each sample: between two adjacent backgrounds, everything is background. */
function ground(grey) {
  const few = sampled(grey);
  const near = median(few, NEAR);
  const half = nearest(few, Math.max(few.width >> 1, 1), Math.max(few.height >> 1, 1));
  const far = nearest(median(half, FAR), few.width, few.height);
  const even = evenOf(near);
  const low = smallest({ ...near, data: near.data.map((value, k) => (even[k] ? value : 255)) }, EDGE);
  const high = largest({ ...near, data: near.data.map((value, k) => (even[k] ? value : 0)) }, EDGE);
  low.data.forEach((value, k) => {
    if (value > high.data[k]) low.data[k] = high.data[k] = far.data[k];
  });
  return [low, high];
}

/** Where the near median is a background: even, as large as a button, and not inside a large letter. */
function evenOf(near) {
  const { width, height } = near;
  const [least, most] = [smallest(near, 3), largest(near, 3)];
  const flat = most.data.map((value, k) => (value - least.data[k] <= APART ? 255 : 0));
  const plains = new Components(flat, width, height);
  const inner = new Components(smallest({ ...near, data: flat }, PANEL).data, width, height);
  const long = inner.mask(inner.boxes.map((box) => Math.max(box[2] - box[0], box[3] - box[1]) > PANEL_LENGTH - PANEL));
  return plains.mask(plains.shareOf(long).map((share) => (share > 0 ? 1 : 0)));
}

/** The standard deviation of the noise on the background, by the median: ink does not count. */
function noiseOf(grey, low, high) {
  const counts = new Int32Array(511); // of halves
  let count = 0;
  eachSample(grey, (k, few) => {
    if (high.data[few] - low.data[few] > APART) return;
    counts[Math.abs(2 * grey.data[k] - low.data[few] - high.data[few])]++;
    count++;
  });
  const ranked = (rank) => {
    let [value, upTo] = [0, counts[0]];
    while (upTo <= rank) upTo += counts[++value];
    return value / 2;
  };
  return count ? 1.4826 * ((ranked((count - 1) >> 1) + ranked(count >> 1)) / 2) : 0;
}

/** The largest value near each sample, smoothed so that no window's edges show. */
function localMaximum(strength, width, height) {
  const [columns, rows] = [Math.ceil(width / STEP), Math.ceil(height / STEP)];
  const most = new Float32Array(columns * rows);
  eachSample({ width, height }, (k, few) => {
    most[few] = Math.max(most[few], strength[k]);
  });
  const side = Math.trunc(REACH / STEP) | 1;
  const few = { width: columns, height: rows, channels: 1, data: Uint8Array.from(most, roundEven) };
  return boxBlur(largest(few, side), side >> 2);
}
