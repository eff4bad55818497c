// The three graphs of `sphinx-x export --format onnx --int8`, which answer about one line, greedily.

import * as ort from "./ort/ort.wasm.min.mjs";
import { planViews, renderViews, viewIds } from "./views.js";

const here = (name) => new URL(name, import.meta.url).href;

ort.env.wasm.numThreads = 1; // more would need a server that isolates the page
ort.env.wasm.wasmPaths = here("ort/");
ort.env.logLevel = "error";

export class Model {
  /** Loads the graphs of a folder, and what `build.py` wrote about them. */
  static async load(folder) {
    const settings = await (await fetch(here(`${folder}/nano.json`))).json();
    const load = (name) => ort.InferenceSession.create(here(`${folder}/${name}.onnx`), { executionProviders: ["wasm"] });
    const [vision, embed, decoder] = [await load("vision"), await load("embed"), await load("decoder")];
    return new Model(settings, { vision, embed, decoder });
  }

  constructor(settings, graphs) {
    Object.assign(this, settings, graphs);
    this.past = this.decoder.inputNames.filter((name) => name.startsWith("past."));
  }

  /** The widest picture that is not made smaller. */
  get widest() {
    return this.grid.columns * this.grid.view_width;
  }

  /** Reads a grey picture of a line: its text, the mean probability of its tokens, what the model saw, and the times. */
  async read(picture, longest) {
    const plan = planViews(picture.width, picture.height, this.grid);
    const image = viewIds(plan, this.image_tokens, this.sizes.tokens_per_view);
    const ids = [...this.prompt.before, ...image, ...this.prompt.after];
    const times = { encode: 0, prefill: 0, decode: 0 };
    let since = performance.now();
    const lap = (stage) => {
      const now = performance.now();
      times[stage] += now - since;
      since = now;
    };
    let embeds = await this.embedded(ids, renderViews(picture, plan, this.grid), plan.views);
    lap("encode");
    const said = [];
    let sum = 0;
    let past = this.nothing();
    for (let done = 0; said.length < longest; ) {
      const length = embeds.dims[1];
      const positions = BigInt64Array.from({ length }, (_, k) => BigInt(done + k));
      const mask = new BigInt64Array(done + length).fill(1n);
      const out = await this.decoder.run({
        inputs_embeds: embeds,
        attention_mask: new ort.Tensor("int64", mask, [1, mask.length]),
        position_ids: new ort.Tensor("int64", positions, [1, length]),
        ...past,
      });
      past = Object.fromEntries(this.past.map((name) => [name, out[name.replace("past.", "present.")]]));
      const { chosen, probability } = mostProbable(out.logits.data);
      lap(done ? "decode" : "prefill");
      done += length;
      said.push(chosen);
      sum += probability;
      if (chosen === this.stop) break;
      embeds = await this.embedOf([chosen]);
    }
    lap("decode");
    const tokens = { prompt: ids.length, image: image.length, answer: said.length };
    return { text: this.decode(said), probability: sum / said.length, plan, tokens, times };
  }

  nothing() {
    const dims = [1, this.sizes.key_value_heads, 0, this.sizes.head_width];
    return Object.fromEntries(this.past.map((name) => [name, new ort.Tensor("float32", new Float32Array(0), dims)]));
  }

  async embedOf(ids) {
    const input = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
    return (await this.embed.run({ input_ids: input })).inputs_embeds;
  }

  /** The prompt's embeddings, with the features of the picture's views in their slots. */
  async embedded(ids, pixels, views) {
    const { view_height: high, view_width: wide } = this.grid;
    const pixelValues = new ort.Tensor("float32", pixels, [views, 3, high, wide]);
    const { data: features } = (await this.vision.run({ pixel_values: pixelValues })).features;
    const embeds = await this.embedOf(ids);
    const width = embeds.dims[2];
    let at = 0;
    ids.forEach((id, k) => {
      if (id !== this.image_tokens.slot) return;
      embeds.data.set(features.subarray(at, at + width), k * width);
      at += width;
    });
    return embeds;
  }

  /** The text of ids; the bytes of a letter may be spread over several. */
  decode(ids) {
    const bytes = Uint8Array.from(ids.flatMap((id) => this.pieces[id]));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).trim();
  }
}

function mostProbable(logits) {
  let chosen = 0;
  logits.forEach((value, k) => {
    if (value > logits[chosen]) chosen = k;
  });
  const sum = logits.reduce((all, value) => all + Math.exp(value - logits[chosen]), 0);
  return { chosen, probability: 1 / sum };
}
