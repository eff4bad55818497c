// What an answer points at, as the server tells it; and how a place is written in a question.

export const COLORS = 8;

/** @typedef {{kind: string, label: string, squares: number[][], images: number[][][], spans: number[][],
 *             color: number, person: number}} Place of an answer; `images`: its places in pixels of each picture */

/** The colour of a mark: that of its number. */
export function markColor(name) {
  const number = Number(name);
  return Number.isInteger(number) && number > 0 ? (number - 1) % COLORS : 0;
}

const placeOf = (kind, { label, square, pixels, spans }) =>
  ({ kind, label, squares: [square], images: pixels.map((one) => [one]), spans, color: 0, person: 0 });

/** The marks of an answer; one that is an outline comes as several places. */
function marksOf(told) {
  const marks = new Map();
  for (const one of told) {
    const place = placeOf("mark", { ...one, label: `Mark ${one.label}` });
    const known = marks.get(one.label);
    if (!known) marks.set(one.label, Object.assign(place, { color: markColor(one.label) }));
    else {
      known.squares.push(one.square);
      known.images.forEach((places, image) => places.push(one.pixels[image]));
      const starts = new Set(known.spans.map(([start]) => start));
      known.spans = [...known.spans, ...one.spans.filter(([start]) => !starts.has(start))];
    }
  }
  return [...marks.values()];
}

/** Lines of text and objects that say what an answer says, each on its own picture. */
const linesOf = (told) => (told?.evidence ?? []).map(({ text, image, pixels, span, is_object: isObject }, number) => ({
  kind: isObject ? "object" : "line", label: text, squares: [],
  images: told.images.map((_, one) => (one === image ? [pixels] : [])),
  spans: [span], color: number % COLORS, person: 0,
}));

/**
 * All places of an answer, in the order of its text, those in one pair of brackets in one colour.
 *
 * @param {string[]} letters of the answer so far: the spans of the server count characters, not units of UTF-16
 * @param {object|null} told the server's extension: boxes, points, key_points, marks; without any of these the lines of
 *   text and the objects that say the same (evidence)
 * @returns {Place[]}
 */
export function findPlaces(letters, told) {
  const kinds = [["box", "boxes"], ["point", "points"], ["key point", "key_points"]];
  const places = kinds.flatMap(([kind, name]) => (told?.[name] ?? []).map((one) => placeOf(kind, one)));
  const first = ({ spans }) => spans[0][0];
  places.sort((one, other) => first(one) - first(other));
  let group = -1, person = -1, end = -1, names = null;
  for (const place of places) {
    const joined = end >= 0 && letters.slice(end, first(place)).join("").trim() === ";";
    [[, end]] = place.spans;
    if (place.kind !== "key point") {
      if (!joined) group += 1;
      place.color = group % COLORS;
      continue;
    }
    if (!names || names.has(place.label)) { // a name that was there already begins another body
      names = new Set();
      [group, person] = [group + 1, person + 1];
      names.color = group % COLORS;
    }
    names.add(place.label);
    Object.assign(place, { color: names.color, person });
  }
  const own = [...places, ...marksOf(told?.marks ?? [])];
  return (own.length ? own : linesOf(told))
    .map((place) => ({ ...place, spans: place.spans.filter(([, last]) => last <= letters.length) }))
    .filter(({ spans }) => spans.length);
}

/** The limbs between the key points of an answer, pairs of places; `joints`: pairs of names that a limb joins. */
export function findLimbs(places, joints) {
  const people = new Map();
  for (const place of places.filter(({ kind }) => kind === "key point")) {
    if (!people.has(place.person)) people.set(place.person, new Map());
    people.get(place.person).set(place.label.toLowerCase(), place);
  }
  return [...people.values()].flatMap((points) =>
    joints.filter((joint) => joint.every((name) => points.has(name))).map((joint) => joint.map((name) => points.get(name))));
}

/** From pixels of a picture to the padded square. `seen` is how the server says it is seen. */
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
