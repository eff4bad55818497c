// The rotation of a page's lines: the angle at which ink falls into the sharpest rows. Port of skew.py.

const STEEPEST = 15; // degrees
const LEAST = 0.12; // below this a page is left as it is
const GAIN = 1.05; // smallest improvement in sharpness
const POINTS = 60_000;
const NARROWEST = 200; // pixels
const STATE = 35399562948360463058890781895381311971n; // of `numpy.random.default_rng(0)`
const INCREMENT = 87136372517582989555478159403783844777n;

/** numpy's generator of random numbers with seed 0 (PCG64), so that the same points are drawn. */
function* draws() {
  const [step, low] = [0x2360ed051fc65da44385df649fccf645n, (1n << 64n) - 1n];
  let state = STATE;
  for (;;) {
    state = BigInt.asUintN(128, state * step + INCREMENT);
    const mixed = (state >> 64n) ^ (state & low);
    const turn = state >> 122n;
    const drawn = ((mixed >> turn) | (mixed << (64n - turn))) & low;
    yield Number(drawn & 0xffffffffn);
    yield Number(drawn >> 32n);
  }
}

/** As `Generator.choice(count, chosen, replace=False)` chooses from so many. */
function choose(count, chosen) {
  const numbers = Int32Array.from({ length: count }, (_, k) => k);
  const random = draws();
  for (let last = count - 1; last >= count - chosen; last--) {
    const range = last + 1; // Lemire's method: the upper half of a product, without the few draws that favour some
    const least = (2 ** 32 - range) % range;
    let product = random.next().value * range;
    while (product % 2 ** 32 < least) product = random.next().value * range;
    const other = Math.floor(product / 2 ** 32);
    [numbers[last], numbers[other]] = [numbers[other], numbers[last]];
  }
  return numbers.subarray(count - chosen);
}

/** The angle in degrees, counter-clockwise, by which the lines of a page rise; 0 if it is unclear. */
export function findAngle(ink, width) {
  let [x, y] = [[], []];
  ink.forEach((value, k) => {
    if (!value) return;
    x.push(k % width);
    y.push(Math.floor(k / width));
  });
  if (x.length < 50 || extent(x) < NARROWEST) return 0;
  if (x.length > POINTS) {
    const chosen = choose(x.length, POINTS);
    [x, y] = [x, y].map((all) => Array.from(chosen, (k) => all[k]));
  }
  [x, y] = [x, y].map((all) => {
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    return Float64Array.from(all, (value) => value - mean);
  });
  let best = sharpest(x, y, steps(-STEEPEST, STEEPEST + 0.25, 0.25), 2);
  best = sharpest(x, y, steps(-0.3, 0.31, 0.05).map((turn) => best + turn), 1);
  const enough = sharpness(x, y, best, 1) >= GAIN * sharpness(x, y, 0, 1);
  return Math.abs(best) < LEAST || !enough ? 0 : best;
}

function extent(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return most - least;
}

/** As `numpy.arange` counts. */
function steps(start, stop, step) {
  const delta = start + step - start;
  return Array.from({ length: Math.ceil((stop - start) / step) }, (_, k) => start + k * delta);
}

function sharpest(x, y, angles, size) {
  let [best, most] = [0, -1];
  for (const angle of angles) {
    const found = sharpness(x, y, angle, size);
    if (found > most) [best, most] = [angle, found];
  }
  return best;
}

/** The sum of the squared differences between adjacent rows, for lines that rise by `angle`. */
function sharpness(x, y, angle, size) {
  const turn = angle * (Math.PI / 180);
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const rows = x.map((value, k) => y[k] * cos + value * sin);
  let [least, most] = [Infinity, -Infinity];
  for (const row of rows) {
    if (row < least) least = row;
    if (row > most) most = row;
  }
  const counts = new Float64Array(Math.trunc((most - least) / size) + 1);
  for (const row of rows) counts[Math.trunc((row - least) / size)]++;
  let sum = counts[counts.length - 1] ** 2;
  counts.forEach((count, k) => {
    sum += (count - (k ? counts[k - 1] : 0)) ** 2;
  });
  return sum;
}
