// The digits of the file `pictures` one by one, their class scores into the file `logits`.
import { readFileSync, writeFileSync } from "node:fs";

const [PICTURE, CLASSES] = [784, 10];
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]));
const { memory, picture, classify } = instance.exports;
const bytes = readFileSync("pictures");
const pictures = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const count = pictures.length / PICTURE;
const logits = new Float32Array(count * CLASSES);
for (let i = 0; i < count; i++) {
  const from = pictures.subarray(i * PICTURE, (i + 1) * PICTURE);
  new Float32Array(memory.buffer, picture(), PICTURE).set(from);
  logits.set(new Float32Array(memory.buffer, classify(), CLASSES), i * CLASSES);
}
writeFileSync("logits", logits);
