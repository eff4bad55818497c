// Tables in an answer: lines with as many cells as the family writes for a chart (`a | b`), or as Markdown has them.

/** The cells of a line of text, each as its first letter and the one behind its last; null where it is no row. */
function cellsOf(letters, from, to) {
  let [first, last] = [from, to];
  while (last > first && letters[last - 1] === " ") last -= 1;
  if (letters[first] === "|" && letters[last - 1] === "|" && last - first > 2) { first += 1; last -= 1; } // Markdown's
  const cells = [];
  for (let k = first, start = first; k <= last; k += 1) {
    if (k < last && letters[k] !== "|") continue;
    cells.push([start, k]);
    start = k + 1;
  }
  return cells.length > 1 ? cells : null;
}

/**
 * The tables of an answer: two or more lines of cells, one below the other.
 *
 * @param {string[]} letters of the answer
 * @returns {{from: number, to: number, rows: number[][][]}[]} without the line below the head of a Markdown table
 */
export function findTables(letters) {
  const tables = [];
  let rows = [], begin = 0;
  for (let from = 0; from <= letters.length;) {
    const found = letters.indexOf("\n", from);
    const to = found < 0 ? letters.length : found;
    const cells = cellsOf(letters, from, to);
    if (cells && !rows.length) begin = from;
    if (cells) rows.push(cells);
    if (!cells || to === letters.length) {
      const rule = rows[1]?.every(([first, last]) => /^\s*:?-+:?\s*$/.test(letters.slice(first, last).join("")));
      if (rule) rows.splice(1, 1);
      if (rows.length > 1) tables.push({ from: begin, to: cells ? to : from, rows });
      rows = [];
    }
    from = to + 1;
  }
  return tables;
}
