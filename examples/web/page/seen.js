// What the model saw of a line: of each piece the canvas with its views, kept and skipped, and the tokens they became.

const SVG = "http://www.w3.org/2000/svg";

const element = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const shape = (name, attributes) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};

/** A grey picture on a canvas of its own. */
function drawn({ width, height, data }) {
  const canvas = element("canvas", { width, height });
  const pixels = new ImageData(width, height);
  data.forEach((value, k) => pixels.data.set([value, value, value, 255], 4 * k));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function cells({ canvas, kept }, grid) {
  const svg = shape("svg", { viewBox: `0 0 ${canvas} ${canvas}`, role: "img" });
  const [wide, high] = [canvas / grid.columns, canvas / grid.rows];
  kept.forEach((one, k) => {
    const [x, y] = [(k % grid.columns) * wide, Math.floor(k / grid.columns) * high];
    svg.append(shape("rect", { x, y, width: wide, height: high, class: one ? "kept" : "skipped" }));
  });
  return svg;
}

/** The image's tokens in order, one mark for each skip token and one longer mark for each view. */
function strip({ kept }, tokensPerView) {
  const marks = kept.map((one, k) => element("i", {
    className: one ? "kept" : "skipped",
    title: one ? `View ${k + 1}: ${tokensPerView} tokens` : `View ${k + 1}: one skip token`,
  }));
  return element("p", { className: "strip", ariaHidden: "true" }, ...marks);
}

function piece({ text, probability, plan, tokens, picture, times }) {
  const perView = (tokens.image - plan.skipped) / plan.views;
  const content = drawn(picture);
  content.style.width = `${(100 * plan.size[0]) / plan.canvas}%`;
  const svg = cells(plan, plan.grid);
  svg.setAttribute("aria-label", `${plan.views} views kept, ${plan.skipped} skipped`);
  const whole = plan.kept.length * perView;
  const facts = [
    `${plan.views} of ${plan.kept.length} views kept, ${plan.skipped} skipped: ${tokens.image} tokens in place of ${whole}`,
    `${plan.views} × ${perView} for views, ${plan.skipped} skip tokens; the answer has ${tokens.answer}`,
    `Probability ${probability.toFixed(3)}; ${Math.round(times.encode + times.prefill + times.decode)} ms`,
  ];
  const line = drawn(picture);
  line.setAttribute("role", "img");
  line.setAttribute("aria-label", "The line as the model gets it");
  return element("article", {},
    element("p", { className: "line-picture" }, line),
    element("p", { className: "said", textContent: text }),
    element("div", { className: "views" }, content, svg),
    element("div", { className: "facts" },
      strip(plan, perView),
      ...facts.map((fact) => element("p", { textContent: fact }))));
}

/** Shows the pieces of a line. */
export function showSeen(place, pieces) {
  place.replaceChildren(...pieces.map(piece));
}
