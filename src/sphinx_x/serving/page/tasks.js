// The prompts that the family was trained with; `{}` is what the user says, `{box}` a box drawn on the picture.

export const TASKS = [
  ["Describe", "Describe in detail", "Provide a detailed description of the image."],
  ["Describe", "One sentence", "Describe the image in one sentence."],
  ["Describe", "Describe with boxes", "Describe the image concisely. Include the bounding box for each mentioned object."],
  ["Find", "Ground a phrase",
    "Please provide the bounding box coordinate of the region this sentence describes: {a description}"],
  ["Find", "Detect a kind", "Detect all {people} shown in the image."],
  ["Find", "Detect everything", "Detect all objects shown in the image."],
  ["Find", "Key points", "Detect the key points of the {person} in the region {box}."],
  ["Documents", "Read text with boxes", "Please detect all texts and provide their bounding box coordinate."],
  ["Documents", "Read a region", "Read the text in the region {box}."],
  ["Documents", "Layout", "Detect the layout of the document."],
  ["Documents", "Chart to table", "Convert this chart to a table."],
  ["Marks", "Describe the marks", "Provide a detailed description for each of the marks."],
  ["Marks", "Name the marks", "Provide a short description for each of the marks."],
  ["Marks", "Relate the marks", "Analyze the relationships among the marks."],
  ["One line (Nano)", "Read the line", "Read the text."],
  ["One line (Nano)", "Find words", 'Where is "{words}"?'],
];

/** Fills a menu. */
export function fillTasks(select, option, group) {
  const groups = new Map();
  TASKS.forEach(([kind, name], number) => {
    if (!groups.has(kind)) groups.set(kind, group(kind));
    groups.get(kind).append(option(name, number));
  });
  select.append(...groups.values());
}

/**
 * The text of a task, and which part of it to select.
 *
 * @param {string} prompt with `{...}`
 * @param {string|null} box as it is written, null where none is drawn
 */
export function taskText(prompt, box) {
  const filled = prompt.replace("{box}", box ?? "{a box: draw one first}");
  const gap = /\{([^}]*)\}/.exec(filled);
  if (!gap) return { text: filled, start: filled.length, end: filled.length };
  const text = filled.replace(/\{([^}]*)\}/g, "$1");
  return { text, start: gap.index, end: gap.index + gap[1].length };
}
