// The regions of an answer, in its text and on the picture: hover or focus one, and both light up.

import { findLimbs, findPlaces, toPixels } from "./places.js";
import { marksUntil, state } from "./state.js";

/** Places of a turn's answer, each with an id that its text and its regions share. */
export function placesOf(turn) {
  const places = findPlaces(turn.answer, marksUntil(turn));
  places.forEach((place, number) => { place.id = `${state.current.id}-${state.current.turns.indexOf(turn)}-${number}`; });
  return places;
}

/** From the padded square that an answer saw to pixels of a picture; null where it saw neither it nor a part of it. */
function wayTo(turn, picture) {
  if (turn?.seen.includes(picture)) return (square) => toPixels(square, picture.seen);
  const part = turn?.seen.findLast((one) => one.origin?.picture === picture);
  if (!part) return null;
  const offset = [part.origin.left, part.origin.top];
  return (square) => toPixels(square, part.seen).map((pixel, k) => pixel + offset[k % 2]);
}

/** What of an answer is drawn on a picture, in its pixels: also on the one that what it saw was cut out of. */
export function regionsOn(turn, picture) {
  const pixels = wayTo(turn, picture);
  if (!pixels) return { places: [], limbs: [] };
  const places = placesOf(turn);
  const limbs = findLimbs(places).map(([from, to]) => ({
    color: from.color, line: [...pixels(from.squares[0]), ...pixels(to.squares[0])],
  }));
  const onPicture = places.filter((place) => place.kind !== "mark" || isMarkOn(turn, place, picture));
  return { limbs, places: onPicture.map((place) => ({ ...place, pixels: place.squares.map(pixels) })) };
}

/** Whether a mark lies on this picture: the user's own do on the one they were put on. */
function isMarkOn(turn, place, picture) {
  const own = state.current.marks.filter((mark) => `Mark ${mark.name}` === place.label && mark.told);
  return own.length === 0 || own.some((mark) => mark.picture === picture);
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
