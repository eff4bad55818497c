// Reading a page: it is laid flat and cut into lines, each line is read, and what is improbable is read again at other
// sizes. Port of reading.py, so that the page says what `sphinx-x read` says with the same graphs.

import { union } from "./lines/components.js";
import { MARGIN, layFlat } from "./lines/page.js";

const SURE = 0.9; // mean token probability from which a piece is not read again
const SIZES = [0.85, 1.2]; // scales at which it is
const LONGEST = 160; // tokens of an answer
const [LEAST_LINE, LEAST_PAGE] = [0.7, 0.75]; // below, a line or a page counts as no readable text
const [TURNED_OVER, BETTER] = [3, 0.08]; // lines of a doubtful page to read upside down, and how much better they must be

/** The page cannot be read; the message says why. */
export class UnreadableError extends Error {}

/**
 * Reads the lines of an image ({ width, height, channels, data }) in reading order.
 *
 * `told` is called, and waited for, with what is known so far: { kind: "lines", boxes }, then { kind: "piece", line, ... }
 * for each piece that was read. Returns { lines, times (ms by stage), again (pieces read again), angle }; a line is
 * { box, text, probability, pieces }.
 */
export async function readPage(model, image, told) {
  const start = performance.now();
  const page = layFlat(image);
  const boxes = page.lines.map((line) => page.lineBox(line));
  const found = performance.now() - start;
  await told({ kind: "lines", boxes });
  if (!page.lines.length) throw new UnreadableError("This picture holds no line of text.");
  const reader = new Reader(model, page, told);
  const read = await reader.read(page.lines);
  await refuseGibberish(reader, read);
  const times = { find: found, ...reader.times };
  return { lines: rowsOf(page, boxes, read), times, again: reader.again, angle: page.angle };
}

class Reader {
  constructor(model, page, told) {
    Object.assign(this, { model, page, told, again: 0, times: { encode: 0, prefill: 0, decode: 0 } });
  }

  async readPicture(picture) {
    const answer = await this.model.read(picture, LONGEST);
    for (const [stage, time] of Object.entries(answer.times)) this.times[stage] += time;
    return { ...answer, picture };
  }

  /** Of each line its text, probability and pieces. A line wider than what the model sees is read in pieces. */
  async read(lines) {
    const widest = this.model.widest - 2 * MARGIN;
    const cut = lines.map((line) => {
      const scale = this.page.bestScale(line);
      return this.page.pieces(line, widest / scale).map((piece) => ({ piece, scale }));
    });
    for (const [number, pieces] of cut.entries()) {
      for (const one of pieces) {
        one.answer = await this.readPicture(this.page.picture(one.piece, one.scale));
        await this.told({ kind: "piece", line: number, ...one.answer });
      }
    }
    for (const one of cut.flat().filter(({ answer }) => answer.probability < SURE)) {
      this.again += 1;
      for (const size of SIZES) {
        const answer = await this.readPicture(this.page.picture(one.piece, one.scale * size));
        if (answer.probability > one.answer.probability) one.answer = answer;
        await this.told({ kind: "again", count: this.again });
      }
    }
    return cut.map((pieces) => {
      const weights = pieces.map(({ piece }) => piece.members.length);
      const answers = pieces.map(({ answer }) => answer);
      const probability = mean(answers.map((answer) => answer.probability), weights);
      return { text: answers.map((answer) => answer.text).join(" "), probability, pieces: answers };
    });
  }

  /** The model's probability of what it reads in the longest lines after half a turn. */
  async turnedOver() {
    const longest = [...this.page.lines].sort((a, b) => b.members.length - a.members.length).slice(0, TURNED_OVER);
    const said = [];
    for (const line of longest) {
      const picture = this.page.picture(line, this.page.bestScale(line));
      said.push((await this.readPicture({ ...picture, data: picture.data.toReversed() })).probability);
    }
    return mean(said, said.map(() => 1));
  }
}

const mean = (values, weights) =>
  values.reduce((sum, value, k) => sum + value * weights[k], 0) / weights.reduce((a, b) => a + b, 0);

/** Throws if the model considers most of what it read improbable, with a possible reason. */
async function refuseGibberish(reader, read) {
  const { page } = reader;
  const sure = mean(read.map((line) => line.probability), page.lines.map((line) => Math.max(line.members.length, 1)));
  if (sure < SURE && (await reader.turnedOver()) > sure + BETTER) {
    throw new UnreadableError("This cannot be read: the page stands on its head. Turn it by 180 degrees.");
  }
  if (sure >= LEAST_PAGE) return;
  const high = page.unit / page.scale;
  const reason = high < 5
    ? `letters of ${high.toFixed(0)} pixels are too small`
    : "handwriting, a picture, a page on its side, another script than Latin, or print too blurred or faint";
  throw new UnreadableError(`This cannot be read: its mean probability is ${sure.toFixed(2)}, below ${LEAST_PAGE} (${reason}).`);
}

/** The lines that hold readable text; cells of a row are one line. */
function rowsOf(page, boxes, read) {
  const rows = new Map();
  page.lines.forEach(({ row }, k) => {
    if (!read[k].text || read[k].probability < LEAST_LINE) return;
    rows.set(row, [...(rows.get(row) ?? []), k]);
  });
  return [...rows.values()].map((cells) => ({
    box: union(cells.map((k) => boxes[k])),
    text: cells.map((k) => read[k].text).join(" "),
    probability: Math.min(...cells.map((k) => read[k].probability)),
    pieces: cells.flatMap((k) => read[k].pieces),
  }));
}
