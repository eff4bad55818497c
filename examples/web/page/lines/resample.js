// Scaling and turning as Pillow does them, to the last bit: the model was trained on lines that Pillow scaled.
// An image is { width, height, channels, data } with a Uint8Array of interleaved channels.

const BITS = 22; // of the fixed point numbers with which pixels are weighted

const cubic = (x) => {
  const [a, d] = [-0.5, Math.abs(x)];
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
};
const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
export const BICUBIC = { reach: 2, at: cubic };
export const LANCZOS = { reach: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) };

/** Half rounds to even, as Python does it. */
export const roundEven = (x) => {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
};

/** Of every pixel of the result: the first pixel that it comes from, and the weights from there on. */
function weights(from, start, end, to, filter) {
  const scale = (end - start) / to;
  const wide = Math.max(scale, 1);
  const reach = filter.reach * wide;
  return Array.from({ length: to }, (_, x) => {
    const middle = start + (x + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - reach + 0.5), 0);
    const last = Math.min(Math.trunc(middle + reach + 0.5), from);
    const shares = [];
    let sum = 0;
    for (let k = first; k < last; k++) {
      const share = filter.at((k - middle + 0.5) * (1 / wide));
      shares.push(share);
      sum += share;
    }
    const whole = shares.map((share) => {
      const part = (sum === 0 ? share : share / sum) * 2 ** BITS;
      return Math.trunc(part < 0 ? part - 0.5 : part + 0.5);
    });
    return { first, whole };
  });
}

const byte = (sum) => Math.min(Math.max(sum >> BITS, 0), 255);

function across(image, to, box, filter) {
  const { width, height, channels, data } = image;
  const places = weights(width, box[0], box[2], to, filter);
  const out = new Uint8Array(to * height * channels);
  for (let y = 0, at = 0; y < height; y++) {
    for (const { first, whole } of places) {
      for (let c = 0; c < channels; c++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0, from = (y * width + first) * channels + c; k < whole.length; k++, from += channels) {
          sum += data[from] * whole[k];
        }
        out[at++] = byte(sum);
      }
    }
  }
  return { width: to, height, channels, data: out };
}

function down(image, to, box, filter) {
  const { width, height, channels, data } = image;
  const stride = width * channels;
  const out = new Uint8Array(to * stride);
  weights(height, box[1], box[3], to, filter).forEach(({ first, whole }, y) => {
    for (let x = 0; x < stride; x++) {
      let sum = 1 << (BITS - 1);
      for (let k = 0, from = first * stride + x; k < whole.length; k++, from += stride) sum += data[from] * whole[k];
      out[y * stride + x] = byte(sum);
    }
  });
  return { width, height: to, channels, data: out };
}

/** `Image.resize`; `box` (left, top, right, bottom) is the part that is scaled. */
export function resize(image, width, height, filter, box = [0, 0, image.width, image.height]) {
  const passes = [];
  if (width !== image.width || box[0] || box[2] !== width) passes.push((one) => across(one, width, box, filter));
  if (height !== image.height || box[1] || box[3] !== height) passes.push((one) => down(one, height, box, filter));
  // Pillow 13 begins with the rows where that leaves much less to do; each pass rounds
  if (height < image.height && image.height - height > 2 * (image.width - width)) passes.reverse();
  return passes.reduce((one, pass) => pass(one), image);
}

/** `Image.reduce`: means of blocks of `wide` x `high` pixels; those at the right and lower edges may be smaller. */
function reduce(image, wide, high) {
  const { width, height, channels, data } = image;
  const [columns, rows] = [Math.ceil(width / wide), Math.ceil(height / high)];
  const out = new Uint8Array(columns * rows * channels);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [right, bottom] = [Math.min((x + 1) * wide, width), Math.min((y + 1) * high, height)];
      const count = (right - x * wide) * (bottom - y * high);
      const times = Math.trunc(Math.fround(2 ** 24 / count));
      for (let c = 0; c < channels; c++) {
        let sum = Math.floor(count / 2);
        for (let v = y * high; v < bottom; v++) {
          for (let u = x * wide; u < right; u++) sum += data[(v * width + u) * channels + c];
        }
        out[at++] = Math.floor((sum * times) / 2 ** 24);
      }
    }
  }
  return { width: columns, height: rows, channels, data: out };
}

/** `Image.resize` with a `reducing_gap`: an image that becomes much smaller is averaged first. */
export function resizeReduced(image, width, height, filter, gap) {
  const wide = Math.trunc(image.width / width / gap) || 1;
  const high = Math.trunc(image.height / height / gap) || 1;
  if (wide === 1 && high === 1) return resize(image, width, height, filter);
  return resize(reduce(image, wide, high), width, height, filter, [0, 0, image.width / wide, image.height / high]);
}

/** Grey by the weights of ITU-R 601-2, from RGBA or RGB. */
export function toGrey({ width, height, channels, data }) {
  const out = new Uint8Array(width * height);
  for (let k = 0, at = 0; k < out.length; k++, at += channels) {
    out[k] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  return { width, height, channels: 1, data: out };
}

const between = (a, b, c, d, t) => b + t * (-a + c + t * (2 * (a - b) + c - d + t * (-a + b - c + d)));

/** `Image.transform` of a grey image by (a, b, c, d, e, f), bicubic; white where nothing is. */
export function transform({ width, height, data }, wide, high, [a, b, c, d, e, f]) {
  const out = new Uint8Array(wide * high).fill(255);
  const row = (x, y) => {
    const at = (u) => data[y * width + Math.min(Math.max(u, 0), width - 1)];
    const left = Math.floor(x) - 1;
    return between(at(left), at(left + 1), at(left + 2), at(left + 3), x - Math.floor(x));
  };
  for (let v = 0; v < high; v++) {
    for (let u = 0; u < wide; u++) {
      let x = a * (u + 0.5) + b * (v + 0.5) + c;
      let y = d * (u + 0.5) + e * (v + 0.5) + f;
      if (x < 0 || x >= width || y < 0 || y >= height) continue;
      [x, y] = [x - 0.5, y - 0.5];
      const top = Math.floor(y) - 1;
      const rows = [row(x, Math.min(Math.max(top, 0), height - 1))];
      for (let k = 1; k < 4; k++) {
        rows.push(top + k >= 0 && top + k < height ? row(x, top + k) : rows[k - 1]);
      }
      out[v * wide + u] = Math.trunc(Math.min(Math.max(between(...rows, y - Math.floor(y)), 0), 255));
    }
  }
  return { width: wide, height: high, channels: 1, data: out };
}
