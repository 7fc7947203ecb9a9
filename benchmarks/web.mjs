// The nets of pages against onnxruntime-web, in turns: node web.mjs ROUNDS CANDIDATES < digits
// CANDIDATES is JSON: [{name, engine, net}] or [{name, onnx}], the first being what others are held
// against; digits are float32. Told on stdout, as JSON: seconds a picture of each turn.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const SIZE = 784, TURN = 40, WARM = 3000;
const [rounds, candidates] = [+process.argv[2], JSON.parse(process.argv[3])];
const digits = new Float32Array(readFileSync(0).buffer.slice(0));
const count = digits.length / SIZE, digit = i => digits.subarray(i % count * SIZE, (i % count + 1) * SIZE);

async function page({ engine, net }) {
  const { instance: { exports: e } } = await WebAssembly.instantiate(readFileSync(engine));
  const data = readFileSync(net), place = e.place(data.length); // after which the buffer is new
  new Uint8Array(e.memory.buffer, place, data.length).set(data);
  e.start();
  const picture = new Float32Array(e.memory.buffer, e.picture(), SIZE);
  return i => { picture.set(digit(i)); return new Float32Array(e.memory.buffer, e.classify(), 10); };
}

async function runtime({ onnx }) {
  const require = createRequire(pathToFileURL(`${process.cwd()}/`));
  const ort = require("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(onnx, { executionProviders: ["wasm"] });
  const [input, output] = [session.inputNames[0], session.outputNames[0]];
  return async i => (await session.run(
    { [input]: new ort.Tensor("float32", digit(i), [1, 1, 28, 28]) }))[output].data;
}

const runs = [], told = {};
for (const candidate of candidates) {
  const run = await (candidate.onnx ? runtime(candidate) : page(candidate));
  const logits = [];
  for (let i = 0; i < count; i++) logits.push(...await run(i));
  for (let i = 0; i < WARM; i++) await run(i);
  runs.push(run);
  told[candidate.name] = { logits, turns_s: [] };
}
for (let round = 0; round < rounds; round++)
  for (const place of candidates.map((_, i) => [Math.random(), i]).sort().map(pair => pair[1])) {
    const run = runs[place];
    for (let i = 0; i < 5; i++) await run(i);
    const began = process.cpuUsage(); // of this process: others may want the core meanwhile
    // A page is called as one is: its answer is there at once, and is not waited for.
    if (candidates[place].onnx) for (let i = 0; i < TURN; i++) await run(i);
    else for (let i = 0; i < TURN; i++) run(i);
    const { user, system } = process.cpuUsage(began);
    told[candidates[place].name].turns_s.push((user + system) / TURN / 1e6);
  }
console.log(JSON.stringify({ node: process.version, candidates: told }));
