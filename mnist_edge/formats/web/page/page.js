"use strict";
// Everything that this page needs is in it: the net and what runs it, as WebAssembly.
const MOST_BYTES = 64 << 20, MOST_PIXELS = 80e6, WORKED_PIXELS = 16e6, UNSURE = 0.8, PEN = 40;
const $ = id => document.getElementById(id);
const pad = $("pad"), pen = pad.getContext("2d", {willReadFrequently: true}), SIDE = pad.width;
const [about, NAMES] = ["metadata", "names"].map(id => JSON.parse($(id).textContent));

// ---- The net ----------------------------------------------------------------------------------
let net, reader;

const bytesOf = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const unpacked = async bytes => new Uint8Array(await new Response(
  new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

// Five letters stand for four bytes, as Python's b85encode has it, but for the comma.
function block(id) {
  const text = $(id).textContent, bytes = new Uint8Array(text.length * 4 / 5 | 0);
  for (let i = 0, at = 0; i < text.length; i += 5) {
    let value = 0;
    for (let k = i; k < i + 5; k++) value = 85 * value + (k < text.length ? LETTERS.indexOf(text[k]) : 84);
    for (let shift = 24; shift >= 0; shift -= 8) bytes[at++] = value >>> shift;
  }
  return unpacked(bytes);
}

const load = async id => (await WebAssembly.instantiate(await block(id))).instance.exports;
const copy = (memory, bytes, place) => new Uint8Array(memory.buffer, place, bytes.length).set(bytes);

async function start() {
  net = await load("engine");
  reader = await load("reader");
  const data = await block("net"), place = net.place(data.length);
  if (place) copy(net.memory, data, place);
  if (!place || !net.start()) throw new Error("there is not enough memory");
}

function classify(digit) {
  const picture = new Float32Array(net.memory.buffer, net.picture(), 784);
  for (let i = 0; i < 784; i++) picture[i] = Math.fround(digit[i] / 255);
  return Array.from(new Float32Array(net.memory.buffer, net.classify(), NAMES.length));
}

function softmax(logits, temperature = 1) {
  const most = Math.max(...logits);
  const powers = logits.map(z => Math.exp((z - most) / temperature));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(p => p / sum);
}

// Digits that the net was exported with, and what it said of them.
async function selfTest() {
  const images = await unpacked(bytesOf(JSON.parse(about.golden).images));
  const expected = new Float32Array(bytesOf($("answers").textContent).buffer);
  const count = images.length / 784;
  let worst = 0;
  for (let i = 0; i < count; i++)
    classify(images.subarray(784 * i, 784 * (i + 1))).forEach((z, c) => {
      const error = Math.abs(z - expected[NAMES.length * i + c]);
      worst = error <= worst ? worst : Number.isNaN(error) ? Infinity : error;
    });
  return {worst, count, passed: count > 0 && worst <= 1e-4};
}

// Read at load, it would be dozens of times too high: first the browser compiles in the background.
async function measure() {
  const pause = () => new Promise(done => setTimeout(done, 15));
  for (let i = 0; i < 30; i++) { net.repeat(100); await pause(); }
  let least = Infinity;
  for (let i = 0; i < 15; i++) {
    const began = performance.now();
    net.repeat(200);
    least = Math.min(least, (performance.now() - began) / 200);
    await pause();
  }
  return 1000 * least;
}

// ---- From a picture to an answer --------------------------------------------------------------
const REFUSED = {"-2": "There is no picture in what was given.",
                 "-3": "The picture is too small for a digit.",
                 "-4": "There is not enough memory for this picture.",
                 "-5": "The picture is a line and no page: cut the digits out of it."};

function read(image) {
  const place = reader.pixels(image.data.length);
  if (!place) throw new Error(REFUSED[-4]);
  copy(reader.memory, image.data, place);
  const found = reader.read(image.width, image.height);
  if (found < 0) throw new Error(REFUSED[found]);
  const digits = [0, 1].map(i => new Uint8Array(reader.memory.buffer, reader.readings() + 784 * i, 784).slice());
  if (!found) return {digit: digits[0], probabilities: null, answer: null, note: ""};
  // Where there are two, the largest digit and all pieces as one, the surer counts.
  const read = digits.slice(0, found).map(digit => ({digit, ...judge(classify(digit))}));
  return read.reduce((a, b) => Math.max(...b.probabilities) > Math.max(...a.probabilities) ? b : a);
}

function judge(logits) {
  const probabilities = softmax(logits), best = Math.max(...probabilities);
  const sure = Math.max(...softmax(logits, +(about.reject_temperature ?? 1)));
  if (sure < +(about.reject_below ?? 0))
    return {logits, probabilities, answer: null, note: "This looks like no digit."};
  return {logits, probabilities, answer: probabilities.indexOf(best),
          note: best < UNSURE ? "Not sure." : ""};
}

function show(result) {
  const {digit, probabilities, answer, note} = result;
  const image = new ImageData(28, 28);
  digit.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
  $("shown").getContext("2d").putImageData(image, 0, 0);
  const [rows, output] = [$("bars").tBodies[0].rows, $("answer")];
  for (let c = 0; c < NAMES.length; c++) {
    const p = probabilities ? probabilities[c] : 0;
    rows[c].className = c === answer ? "best" : "";
    rows[c].cells[1].firstChild.style.width = `${100 * p}%`;
    rows[c].cells[2].textContent = probabilities ? `${(100 * p).toFixed(1)} %` : "";
  }
  const text = document.createElement("b");
  text.textContent = answer === null ? (probabilities ? "no digit" : "") : NAMES[answer];
  output.className = answer === null ? "none" : "";
  const more = answer === null ? note : `${(100 * probabilities[answer]).toFixed(1)} %  ${note}`;
  output.replaceChildren(text, more || (probabilities ? "" : "Nothing drawn yet."));
  window.lastResult = result;
}

function fail(error) {
  $("answer").className = "none";
  $("answer").textContent = error.message;
  for (const row of $("bars").tBodies[0].rows) {
    row.className = row.cells[2].textContent = "";
    row.cells[1].firstChild.style.width = 0;
  }
  window.lastResult = {error: error.message};
}

function attempt(work) {
  try { show(work()); } catch (error) { fail(error); }
}

const readPad = () => attempt(() => read(pen.getImageData(0, 0, SIDE, SIDE)));

// ---- Drawing ----------------------------------------------------------------------------------
let from = null, asked = false, covered = false;

function clear() {
  covered = false;
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, SIDE, SIDE);
  readPad();
}

function stroke(to) {
  pen.strokeStyle = "#000";
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(to[0], to[1] + 0.01); // a point is a line of no length, which is not drawn
  pen.stroke();
  from = to;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; readPad(); });
}

function spot(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
}

pad.addEventListener("pointerdown", event => {
  if (event.button > 0 || !event.isPrimary) return;
  pad.setPointerCapture(event.pointerId);
  if (covered) clear(); // by a picture: what is drawn is something else
  stroke(from = spot(event));
});
pad.addEventListener("pointermove", event => {
  if (!from || !event.isPrimary) return;
  const all = event.getCoalescedEvents?.() ?? [];
  for (const one of all.length ? all : [event]) stroke(spot(one));
});
for (const end of ["pointerup", "pointercancel"])
  pad.addEventListener(end, event => { if (event.isPrimary) from = null; });

const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
let cursor = [SIDE / 2, SIDE / 4], lowered = false;
pad.addEventListener("keydown", event => {
  const step = STEPS[event.key];
  if (step) {
    const before = cursor;
    cursor = cursor.map((at, axis) => Math.min(SIDE - PEN, Math.max(PEN, at + 14 * step[axis])));
    if (lowered) { from = before; stroke(cursor); from = null; }
  } else if (event.key === " ") {
    lowered = !lowered;
    if (lowered) {
      if (covered) clear();
      stroke(from = cursor);
      from = null;
    }
  } else if (event.key === "Delete" || event.key === "Backspace") {
    lowered = false;
    clear();
  } else return;
  event.preventDefault();
});
$("clear").onclick = () => { stopCamera(); clear(); };

// ---- Pictures ---------------------------------------------------------------------------------
// Draws a picture on the pad, and reads it as it came: scaled only where it is very large.
function take(source, width, height) {
  const large = Math.min(1, Math.sqrt(WORKED_PIXELS / (width * height)));
  const sheet = new OffscreenCanvas(Math.max(1, Math.round(width * large)),
                                    Math.max(1, Math.round(height * large)));
  const tool = sheet.getContext("2d");
  tool.drawImage(source, 0, 0, sheet.width, sheet.height);
  const scale = Math.min(SIDE / width, SIDE / height);
  covered = true;
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.drawImage(source, (SIDE - scale * width) / 2, (SIDE - scale * height) / 2,
                scale * width, scale * height);
  attempt(() => read(tool.getImageData(0, 0, sheet.width, sheet.height)));
}

async function open(file) {
  stopCamera();
  try {
    if (file.size > MOST_BYTES) throw new Error("The file is longer than 64 MiB.");
    const bitmap = await createImageBitmap(file, {colorSpaceConversion: "none"}).catch(() => {
      throw new Error("This file is no picture that the browser can read.");
    });
    if (bitmap.width * bitmap.height > MOST_PIXELS)
      throw new Error("The picture has more than 80 million pixels.");
    take(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
  } catch (error) { fail(error); }
}

function openFirst(transfer) {
  const item = [...transfer.items].find(one => one.kind === "file");
  if (item) open(item.getAsFile());
  else fail(new Error("There is no picture in what was given."));
}

$("file").onchange = event => {
  if (event.target.files[0]) open(event.target.files[0]);
  event.target.value = "";
};
addEventListener("paste", event => openFirst(event.clipboardData));
addEventListener("dragover", event => { event.preventDefault(); document.body.className = "over"; });
addEventListener("dragleave", () => { document.body.className = ""; });
addEventListener("drop", event => {
  event.preventDefault();
  document.body.className = "";
  openFirst(event.dataTransfer);
});

// ---- Camera -----------------------------------------------------------------------------------
let stream = null;

function stopCamera() {
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  $("view").hidden = true;
  pad.hidden = false;
  $("camera").textContent = "Camera";
}

$("camera").onclick = async () => {
  const view = $("view");
  if (stream) {
    // The middle, as large as it is shown: a square.
    const side = Math.min(view.videoWidth, view.videoHeight), sheet = new OffscreenCanvas(side, side);
    sheet.getContext("2d").drawImage(view, (side - view.videoWidth) / 2, (side - view.videoHeight) / 2);
    stopCamera();
    if (side) take(sheet, side, side);
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
    view.srcObject = stream;
    await view.play();
    view.hidden = !(pad.hidden = true);
    $("camera").textContent = "Take the picture";
  } catch { stopCamera(); fail(new Error("The camera cannot be used.")); }
};

// ---- Begin ------------------------------------------------------------------------------------
for (const name of NAMES) {
  const row = $("bars").tBodies[0].insertRow(), head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  row.insertCell().append(document.createElement("i"));
  row.insertCell();
}

(async () => {
  const state = $("state");
  try {
    await start();
    const test = await selfTest();
    state.textContent = test.passed
      ? `Ready: the self-test over ${test.count} digits passed.`
      : `The self-test failed: answers differ by ${test.worst.toPrecision(2)}. Do not trust this page.`;
    state.className = test.passed ? "" : "bad";
    clear();
    const devices = await navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
    $("camera").hidden = !devices.some(device => device.kind === "videoinput");
    const microseconds = await measure();
    $("speed").textContent = `One digit takes the net ${microseconds.toFixed(1)} µs here.`;
    window.pageResult = {test, microseconds};
  } catch (error) {
    state.className = "bad";
    state.textContent = "This browser cannot run the page, which needs WebAssembly with SIMD and " +
      `DecompressionStream: ${error.message}`;
    window.pageResult = {error: error.message};
  }
})();
