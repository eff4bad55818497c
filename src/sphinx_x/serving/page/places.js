// What a text points at: boxes, points, key points and marks, from `[0.12, 0.30, 0.80, 0.44]` to pixels of a picture.
// The rules are those of the package's own reader: numbers from 0 to 1, relative to the padded square.

const BRACKETS = /\[([\d.,;\s]+)\]/g;
const NUMBER = /^(?:\d+\.?\d*|\.\d+)$/;
const MARK_BEFORE = /<Mark (\w+)>\s*$/;
const PHRASE_BEFORE = /<p>([^<]*)<\/p>\s*$/;
const WORDS_BEFORE = /[^[\].,;:!?\n<>]*$/;
const CITED = /<Mark (\w+)>|\bMark (\w+)(?=:)/g;
export const COLORS = 8;

/** Lines between key points of a person (COCO). */
const LIMBS = [
  ["nose", "left eye"], ["nose", "right eye"], ["left eye", "left ear"], ["right eye", "right ear"],
  ["left eye", "right eye"], ["left ear", "left shoulder"], ["right ear", "right shoulder"],
  ["left shoulder", "right shoulder"], ["left shoulder", "left elbow"], ["left elbow", "left wrist"],
  ["right shoulder", "right elbow"], ["right elbow", "right wrist"], ["left shoulder", "left hip"],
  ["right shoulder", "right hip"], ["left hip", "right hip"], ["left hip", "left knee"], ["left knee", "left ankle"],
  ["right hip", "right knee"], ["right knee", "right ankle"],
];

/** The numbers of one pair of brackets, with where each place stands in it; null where it is something else. */
function readBrackets(inside) {
  const places = [];
  let start = 0;
  for (const one of inside.split(";")) {
    const parts = one.split(",").map((part) => part.trim());
    if (![2, 4].includes(parts.length) || !parts.every((part) => NUMBER.test(part))) return null;
    const square = parts.map(Number);
    const turned = square.length === 4 && (square[2] < square[0] || square[3] < square[1]);
    if (Math.max(...square) > 1 || turned || (places.length && places[0].square.length !== square.length)) return null;
    const blank = one.length - one.trimStart().length;
    places.push({ square, start: start + blank, end: start + one.trimEnd().length });
    start += one.length + 1;
  }
  return places;
}

/** The name before a pair of brackets: of a mark, of a phrase, or the words there; `tight` where no blank is between. */
function nameBefore(before) {
  const mark = MARK_BEFORE.exec(before);
  if (mark) return { mark: mark[1], label: `Mark ${mark[1]}` };
  const phrase = PHRASE_BEFORE.exec(before);
  if (phrase) return { label: phrase[1].trim() };
  const words = WORDS_BEFORE.exec(before)[0].trimStart().replace(/^and /, "");
  return { label: words.trim(), tight: words.trim() !== "" && !words.endsWith(" ") };
}

/**
 * All places of a text, in its order.
 *
 * @param {string} text what was said
 * @param {Map<string, number[][]>} marks where the marks lie that the conversation told before
 * @returns {{kind: string, label: string, square: number[]|null, squares: number[][], start: number, end: number,
 *            color: number, person: number}[]}
 */
export function findPlaces(text, marks = new Map()) {
  const found = [];
  const known = new Map(marks);
  const own = [];
  let end = 0, group = 0, person = 0, names = new Set();
  for (const match of text.matchAll(BRACKETS)) {
    const before = text.slice(end, match.index);
    end = match.index + match[0].length;
    const places = readBrackets(match[1]);
    if (!places) continue;
    const { mark, label, tight } = nameBefore(before);
    if (mark !== undefined) known.set(mark, places.map((place) => place.square));
    const isKey = mark === undefined && tight && places.length === 1 && places[0].square.length === 2;
    if (isKey && names.has(label)) { names = new Set(); person += 1; }
    if (isKey) names.add(label);
    const kind = mark !== undefined ? "mark" : places[0].square.length === 4 ? "box" : isKey ? "key point" : "point";
    const color = mark !== undefined ? markColor(mark) : isKey ? person % COLORS : group % COLORS;
    if (!isKey) group += 1;
    for (const place of places) {
      const at = match.index + 1;
      own.push({ kind, label, squares: [place.square], start: at + place.start, end: at + place.end, color, person });
    }
  }
  for (const match of text.matchAll(CITED)) {
    const name = match[1] ?? match[2];
    if (!known.has(name)) continue;
    const ends = match.index + match[0].length;
    if (/^\s*\[/.test(text.slice(ends)) && own.some((place) => place.kind === "mark" && place.start > ends
      && text.slice(ends, place.start).trim() === "[")) continue; // its place follows, and is found itself
    const [color, label] = [markColor(name), `Mark ${name}`];
    found.push({ kind: "mark", label, squares: known.get(name), start: match.index, end: ends, color, person: 0 });
  }
  return [...found, ...own].sort((one, other) => one.start - other.start);
}

/** The colour of a mark: that of its number. */
export function markColor(name) {
  const number = Number(name);
  return Number.isInteger(number) && number > 0 ? (number - 1) % COLORS : 0;
}

/** The limbs between the key points of a text: pairs of places. */
export function findLimbs(places) {
  const limbs = [];
  const people = new Map();
  for (const place of places.filter(({ kind }) => kind === "key point")) {
    if (!people.has(place.person)) people.set(place.person, new Map());
    people.get(place.person).set(place.label.toLowerCase(), place);
  }
  for (const points of people.values()) {
    for (const [from, to] of LIMBS) {
      if (points.has(from) && points.has(to)) limbs.push([points.get(from), points.get(to)]);
    }
  }
  return limbs;
}

/** From the padded square to pixels of a picture, within the picture. `seen` is how the server says it is seen. */
export function toPixels(square, seen) {
  const size = [seen.width, seen.height];
  const offset = [seen.left, seen.top];
  return square.map((number, k) => {
    const pixel = (number * seen.canvas - offset[k % 2]) / seen.scale;
    return Math.min(Math.max(pixel, 0), size[k % 2]);
  });
}

/** From pixels of a picture to the padded square. */
export function toSquare(pixels, seen) {
  const offset = [seen.left, seen.top];
  return pixels.map((pixel, k) => (offset[k % 2] + pixel * seen.scale) / seen.canvas);
}

/** As the family writes places: `[0.56, 0.24]`. */
export function written(square) {
  return `[${square.map((number) => Math.min(Math.max(number, 0), 1).toFixed(2)).join(", ")}]`;
}

/** How marks are told in a question, as the family learned it. */
export function toldMarks(marks) {
  return `The marks are: ${marks.map((mark) => `<Mark ${mark.name}> ${written(mark.square)}`).join(", ")}.`;
}
