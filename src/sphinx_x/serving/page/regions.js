// The regions of an answer, in its text and on the picture: hover or focus one, and both light up.

import { findLimbs, findPlaces } from "./places.js";
import { state } from "./state.js";

/** Places of a turn's answer, each with an id that its text and its regions share. */
export function placesOf(turn) {
  const places = findPlaces([...turn.answer], turn.extension);
  places.forEach((place, number) => { place.id = `${state.current.id}-${state.current.turns.indexOf(turn)}-${number}`; });
  return places;
}

/** Which picture of an answer's a picture is, or the last that was cut out of it; and where its corner lies there. */
function seenOn(turn, picture) {
  const itself = turn?.seen.indexOf(picture) ?? -1;
  if (itself >= 0) return { image: itself, left: 0, top: 0 };
  const part = turn?.seen.findLastIndex((one) => one.origin?.picture === picture) ?? -1;
  return part < 0 ? null : { image: part, left: turn.seen[part].origin.left, top: turn.seen[part].origin.top };
}

/** What of an answer is drawn on a picture, in its pixels: also on the one that what it saw was cut out of. */
export function regionsOn(turn, picture) {
  const where = seenOn(turn, picture);
  if (!where) return { places: [], limbs: [] };
  const moved = (pixels) => pixels.map((pixel, k) => pixel + (k % 2 ? where.top : where.left));
  const places = placesOf(turn).flatMap((place) => {
    const own = place.kind === "mark" && state.current.marks.find((mark) => `Mark ${mark.name}` === place.label && mark.told);
    if (own && own.picture !== turn.seen[where.image]) return [];
    // a mark of the user's lies where it was put, which its rounded numbers tell less well
    return [{ ...place, pixels: (own ? [own.pixels] : place.images[where.image]).map(moved) }];
  });
  const limbs = findLimbs(places, state.model.limbs).map(([from, to]) => (
    { color: from.color, line: [...from.pixels[0], ...to.pixels[0]] }));
  return { limbs, places };
}

/** In words, for those who cannot see it, and for hints. */
export function toldPlace(place) {
  const numbers = (place.pixels ?? []).map((pixels) => {
    const [x, y, right, bottom] = pixels.map((pixel) => Math.round(pixel));
    return right === undefined ? `at ${x}, ${y}` : `from ${x}, ${y} to ${right}, ${bottom}`;
  });
  const name = place.kind === "mark" || !place.label ? place.label || place.kind : `${place.kind} ${place.label}`;
  return numbers.length ? `${name} ${numbers.join(" and ")} (pixels)` : name;
}

/** Boxes of the parts of a picture that an answer saw. */
export const partsOf = (turn, picture) =>
  (turn?.seen ?? []).filter((one) => one.origin?.picture === picture)
    .map(({ origin, width, height }) => [origin.left, origin.top, origin.left + width, origin.top + height]);

function light(id) {
  for (const element of document.querySelectorAll(".lit")) element.classList.remove("lit");
  document.body.classList.toggle("lighting", Boolean(id));
  if (!id) return;
  for (const element of document.querySelectorAll(`[data-place="${CSS.escape(id)}"]`)) element.classList.add("lit");
}

/** Lights up what belongs together; `onTurn` is told when a place of another answer is reached. */
export function listenRegions(onTurn) {
  const reach = (event) => {
    const element = event.target.closest?.("[data-place]");
    if (!element) return light(null);
    const number = Number(element.dataset.place.split("-")[1]);
    onTurn(state.current.turns[number]);
    light(element.dataset.place);
  };
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, reach);
  document.addEventListener("focusout", () => light(null));
}
