// Answers questions about the modules of examples/web/page, one JSON object a line: { module, name, arguments } -> its
// value. Images go as { width, height, channels, pixels }, pixels in base64, and typed arrays come back as lists.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);

const read = (_, value) =>
  value && value.pixels !== undefined ? { ...value, data: new Uint8Array(Buffer.from(value.pixels, "base64")) } : value;
const write = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line, read);
  const module = await import(new URL(asked.module, folder));
  let value = module[asked.name];
  if (asked.arguments) value = value(...asked.arguments);
  for (const then of asked.then ?? []) value = value[then];
  console.log(JSON.stringify(value, write));
}
