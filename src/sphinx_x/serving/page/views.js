// What the model sees of a picture: the padded square, its views, and what they cost.

import { byId, html, svg } from "./dom.js";
import { state } from "./state.js";

const fact = (name, value) => [html("dt", {}, name), html("dd", {}, value)];

function cells(seen) {
  const [width, height] = [seen.canvas / seen.columns, seen.canvas / seen.rows];
  return seen.kept.map((kept, number) => {
    const [x, y] = [(number % seen.columns) * width, Math.floor(number / seen.columns) * height];
    const name = kept ? "kept" : "skipped";
    const group = svg("g", { class: `cell ${name}` }, svg("title", {}, `View ${number + 1}: ${name}`),
      svg("rect", { x, y, width, height }));
    if (!kept) group.append(svg("path", { d: `M${x} ${y}L${x + width} ${y + height}M${x + width} ${y}L${x} ${y + height}` }));
    return group;
  });
}

/** Shows the views of the current picture. */
export function showViews() {
  const picture = state.picture;
  const seen = picture?.seen;
  byId("seen").hidden = !seen || !seen.kept;
  if (byId("seen").hidden) return;
  const kept = seen.kept.filter(Boolean).length;
  byId("seen-told").textContent = `${kept} of ${seen.kept.length} views, ${seen.image_tokens} tokens`;
  const image = svg("image", {
    x: seen.left, y: seen.top, width: seen.width * seen.scale, height: seen.height * seen.scale, preserveAspectRatio: "none",
  });
  image.setAttribute("href", picture.url);
  const views = byId("views");
  views.setAttribute("viewBox", `0 0 ${seen.canvas} ${seen.canvas}`);
  views.setAttribute("aria-label", `${kept} views kept, ${seen.skipped} skipped`);
  views.replaceChildren(svg("rect", { class: "canvas", width: seen.canvas, height: seen.canvas }), image, ...cells(seen));
  const percent = `${(100 * seen.scale).toFixed(seen.scale < 0.1 ? 1 : 0)} %`;
  byId("seen-facts").replaceChildren(
    ...fact("Square", `${seen.canvas} × ${seen.canvas} pixels`),
    ...fact("Picture on it", `${Math.round(seen.width * seen.scale)} × ${Math.round(seen.height * seen.scale)} (${percent})`),
    ...fact("Views kept", `${kept}${seen.global_view ? ", and one of the whole" : ""}`),
    ...fact("Views skipped", `${seen.skipped}, one token each`),
    ...fact("Visual tokens", String(seen.image_tokens)),
    ...(seen.line_tokens ? fact("Lines and objects", `${seen.lines} and ${seen.objects}, ${seen.line_tokens} of these tokens`) : []),
    ...(seen.lines_left_out ? fact("Lines left out", `the last ${seen.lines_left_out}, for want of room`) : []),
    ...fact("Without skipping", String(seen.unskipped_tokens)),
  );
}
