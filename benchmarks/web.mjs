// The nets of pages against onnxruntime-web, in turns.
// In Node: node web.mjs ROUNDS TURN CANDIDATES < digits. CANDIDATES is JSON: [{name, engine, net}] or
// [{name, onnx}], the first being what others are held against; digits are float32. Told on stdout,
// as JSON: seconds a picture of each turn. A browser imports this file and calls `compare`.
const SIZE = 784, WARM = 3000;

async function page({ engine, net }, { read }, digit) {
  const { instance: { exports: e } } = await WebAssembly.instantiate(await read(engine));
  const data = await read(net), place = e.place(data.length); // after which the buffer is new
  new Uint8Array(e.memory.buffer, place, data.length).set(data);
  e.start();
  const picture = new Float32Array(e.memory.buffer, e.picture(), SIZE);
  return i => { picture.set(digit(i)); return new Float32Array(e.memory.buffer, e.classify(), 10); };
}

async function runtime({ onnx }, { ort, read }, digit) {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(await read(onnx), { executionProviders: ["wasm"] });
  const [input, output] = [session.inputNames[0], session.outputNames[0]];
  return async i => (await session.run(
    { [input]: new ort.Tensor("float32", digit(i), [1, 1, 28, 28]) }))[output].data;
}

// `host` has onnxruntime-web, reads files, and tells the seconds that went by; so many pictures a turn.
export async function compare(host, rounds, turn, candidates, digits) {
  const count = digits.length / SIZE;
  const digit = i => digits.subarray(i % count * SIZE, (i % count + 1) * SIZE);
  const runs = [], told = {};
  for (const candidate of candidates) {
    const run = await (candidate.onnx ? runtime : page)(candidate, host, digit);
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
      const began = host.clock();
      // A page is called as one is: its answer is there at once, and is not waited for.
      if (candidates[place].onnx) for (let i = 0; i < turn; i++) await run(i);
      else for (let i = 0; i < turn; i++) run(i);
      told[candidates[place].name].turns_s.push((host.clock() - began) / turn);
    }
  return told;
}

if (globalThis.process) {
  const { readFileSync } = await import("node:fs");
  const { createRequire } = await import("node:module");
  const { pathToFileURL } = await import("node:url");
  const ort = createRequire(pathToFileURL(`${process.cwd()}/`))("onnxruntime-web");
  const clock = () => { // of this process: others may want the core meanwhile
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const digits = new Float32Array(readFileSync(0).buffer.slice(0));
  const [rounds, turn, candidates] = process.argv.slice(2).map(JSON.parse);
  const told = await compare({ ort, clock, read: readFileSync }, rounds, turn, candidates, digits);
  console.log(JSON.stringify({ version: `Node ${process.version}`, candidates: told }));
}
