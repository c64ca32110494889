"use strict";

// ---- what the page consists of ------------------------------------------------------

const element = (id) => document.getElementById(id);
const fields = {
  model: element("model"), speaker: element("speaker"), text: element("text"),
  recording: element("recording"), seconds: element("seconds"), speed: element("speed"),
  pitch: element("pitch"), temperature: element("temperature"), seed: element("seed"),
};
const speakButton = element("speak"), stopButton = element("stop");
const state = element("state"), caption = element("caption"), canvas = element("spectrogram");

const UNITS = {
  seconds: (value) => `${value} s`,
  speed: (value) => `× ${Number(value).toFixed(2)}`,
  pitch: (value) => `${value > 0 ? "+" : ""}${value} st`,
  temperature: (value) => Number(value).toFixed(2),
};

let offered = { models: [] };
let running = null; // the utterance that is being made or heard
let context = null; // of sound, at the rate of the model

function tell(sentence, isAlarm = false) {
  state.textContent = sentence;
  state.classList.toggle("alarm", isAlarm);
}

function chosen() {
  return offered.models.find((model) => model.name === fields.model.value);
}

/** Shows the fields that the chosen model takes. */
function arrange() {
  const model = chosen();
  const shown = {
    text: model.takes === "text",
    recording: model.takes === "recording",
    speakers: model.speakers.length > 0,
    pitch: model.has_pitch,
  };
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = !shown[part.dataset.for];
  }
  fields.speaker.replaceChildren(...model.speakers.map((name) => new Option(name, name)));
}

function showValues() {
  for (const [name, unit] of Object.entries(UNITS)) {
    document.querySelector(`output[for="${name}"]`).textContent = unit(fields[name].value);
  }
}

// ---- the request -------------------------------------------------------------------

function request(model, signal) {
  const seed = Number(fields.seed.value), temperature = Number(fields.temperature.value);
  if (model.takes === "recording") {
    const [file] = fields.recording.files;
    if (!file) throw new Sentence("Choose a recording to go on from first.");
    if (file.size > offered.max_upload_bytes) {
      const limit = offered.max_upload_bytes / 2 ** 20;
      throw new Sentence(`The recording has more than ${limit} MiB: give a shorter one.`);
    }
    const query = new URLSearchParams({
      model: model.name, seconds: fields.seconds.value, temperature, seed,
    });
    return fetch(`continuation?${query}`, { method: "POST", body: file, signal });
  }
  const wish = {
    model: model.name, text: fields.text.value, speaker: fields.speaker.value, seed, temperature,
    speed: Number(fields.speed.value),
    pitch_semitones: model.has_pitch ? Number(fields.pitch.value) : 0,
  };
  return fetch("speech", { method: "POST", body: JSON.stringify(wish), signal });
}

/** An error whose message is for the one who reads the page. */
class Sentence extends Error {}

const STATE = 0, SAMPLES = 1, HEAD_BYTES = 5;

/** The messages of a response: states, and samples as Int16Array. */
async function* messages(response) {
  const reader = response.body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const view = new DataView(bytes.buffer, at);
      const kind = view.getUint8(0), size = view.getUint32(1, true);
      if (bytes.length - at - HEAD_BYTES < size) break;
      const content = bytes.slice(at + HEAD_BYTES, at + HEAD_BYTES + size);
      at += HEAD_BYTES + size;
      if (kind === STATE) yield JSON.parse(new TextDecoder().decode(content));
      else if (kind === SAMPLES) yield new Int16Array(content.buffer);
    }
    rest = bytes.slice(at);
  }
}

// ---- sound -------------------------------------------------------------------------

// By when a chunk has to have its time: what begins too late is heard over what comes after it.
const MARGIN_S = 0.06;
const SAFETY = 0.9;   // share of the speed so far that the rest is expected to come with
const MAX_LEAD_S = 0.6;

let leadS = 0.15;     // sound that is there before any is heard; more after a gap

/** Makes the sound's clock run, at the rate of a model; it takes a moment, once. */
function openSound(model) {
  if (!context || context.sampleRate !== model.sample_rate_hz) {
    if (context) context.close();
    context = new AudioContext({ sampleRate: model.sample_rate_hz, latencyHint: "interactive" });
  }
  return context.resume();
}

/** Plays samples that arrive, one chunk exactly after the other, by the clock of the sound. */
class Player {
  constructor(audio, begun, clickedMs) {
    this.audio = audio;
    this.rate = begun.sample_rate_hz;
    this.total = begun.num_samples;
    this.primed = begun.primed_samples;
    this.share = begun.share;
    this.clickedMs = clickedMs;
    this.chunks = [];
    this.received = 0;
    this.scheduled = 0;   // chunks that have their time
    this.startS = null;   // when the first sample is heard, by the clock of the sound
    this.nextFrame = 0;   // when the next chunk is, in samples of that clock
    this.gaps = 0;
    this.gapS = 0;
    this.hasEnded = false;
    this.sources = new Set();
    this.firstSoundMs = null;
    this.madeFromMs = null;
  }

  push(samples) {
    if (this.madeFromMs === null) {
      this.madeFromMs = performance.now();
      this.first = samples.length;
    }
    this.chunks.push(samples);
    this.received += samples.length;
    this.schedule();
  }

  end() {
    this.hasEnded = true;
    this.schedule();
  }

  /** Samples that have to be there ahead, when so many are left to be heard, for none to be late. */
  needed(left) {
    const seconds = (performance.now() - this.madeFromMs) / 1000;
    const measured = (this.received - this.first) / this.rate / Math.max(seconds, 0.001);
    const share = SAFETY * Math.min(measured, this.share);
    return Math.max(leadS * this.rate, (1 - share) * left);
  }

  /** The samples that are missing, in seconds; 0 once it is heard. */
  missingS() {
    if (this.startS !== null || this.hasEnded) return 0;
    return Math.max(0, this.needed(this.total - this.primed) - this.received) / this.rate;
  }

  schedule() {
    if (this.startS === null) {
      if (!this.received || (!this.hasEnded && this.missingS() > 0)) return;
      this.nextFrame = Math.ceil((this.audio.currentTime + MARGIN_S) * this.rate);
      this.startS = this.nextFrame / this.rate;
      const latency = this.audio.outputLatency || this.audio.baseLatency || 0;
      const waits = this.startS - this.audio.currentTime + latency;
      this.firstSoundMs = performance.now() + 1000 * waits - this.clickedMs;
    }
    for (; this.scheduled < this.chunks.length; this.scheduled++) {
      const samples = this.chunks[this.scheduled];
      const now = this.audio.currentTime;
      if (this.nextFrame / this.rate < now + MARGIN_S / 2) {
        this.gaps += 1;
        leadS = Math.min(MAX_LEAD_S, 2 * leadS);
        // As long as will do for what is left, so that there is no other.
        const left = this.total - this.received + samples.length;
        const next = Math.ceil((now + MARGIN_S) * this.rate + this.needed(left));
        this.gapS += (next - this.nextFrame) / this.rate;
        this.startS += (next - this.nextFrame) / this.rate;
        this.nextFrame = next;
      }
      const buffer = this.audio.createBuffer(1, samples.length, this.rate);
      buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
      const source = this.audio.createBufferSource();
      source.buffer = buffer;
      source.connect(this.audio.destination);
      source.onended = () => this.sources.delete(source);
      this.sources.add(source);
      source.start(this.nextFrame / this.rate);
      this.nextFrame += samples.length;
    }
  }

  /** Samples that have been heard. */
  heard() {
    if (this.startS === null) return 0;
    const latency = this.audio.outputLatency || this.audio.baseLatency || 0;
    const samples = Math.floor((this.audio.currentTime - latency - this.startS) * this.rate);
    return Math.max(0, Math.min(samples, this.received));
  }

  isDone() {
    return this.hasEnded && this.heard() >= this.received;
  }

  stop() {
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
    }
    this.sources.clear();
  }

  /** All that has arrived. */
  samples() {
    const whole = new Int16Array(this.received);
    let at = 0;
    for (const chunk of this.chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }
}

/** A wav file of 16-bit samples, one channel. */
function wav(samples, rate) {
  const head = new DataView(new ArrayBuffer(44)), bytes = 2 * samples.length;
  const text = (at, word) => [...word].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, 2 * rate, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, bytes, true);
  return new Blob([head.buffer, samples], { type: "audio/wav" });
}

// ---- spectrogram -------------------------------------------------------------------

const WINDOW = 512, FLOOR_DB = -80, TOP_DB = -15;
const HANN = Float64Array.from({ length: WINDOW }, (_, i) =>
  0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));

/** Powers of the spectrum of WINDOW real values, by a Fourier transform of radix 2. */
function powers(values) {
  const n = values.length, re = new Float64Array(n), im = new Float64Array(n);
  const bits = Math.log2(n);
  for (let i = 0; i < n; i++) {
    let reversed = 0;
    for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
    re[reversed] = values[i];
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2, angle = (-2 * Math.PI) / size;
    for (let k = 0; k < half; k++) {
      const c = Math.cos(angle * k), s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const r = re[j] * c - im[j] * s, m = re[j] * s + im[j] * c;
        re[j] = re[i] - r;
        im[j] = im[i] - m;
        re[i] += r;
        im[i] += m;
      }
    }
  }
  return Float64Array.from({ length: n / 2 }, (_, i) => re[i] * re[i] + im[i] * im[i]);
}

/** From quiet to loud: black, violet, orange, pale yellow. */
function colour(level) {
  const stops = [[11, 7, 22], [87, 24, 110], [188, 55, 84], [246, 142, 30], [252, 255, 200]];
  const place = Math.max(0, Math.min(1, level)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place)), part = place - i;
  return stops[i].map((from, c) => from + part * (stops[i + 1][c] - from));
}

function clear() {
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#0b0716";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

/** Draws a column for each piece of the sound, once it is heard. */
class Spectrogram {
  constructor(player) {
    this.player = player;
    this.pen = canvas.getContext("2d");
    this.column = 0;
    this.whole = new Float32Array(player.total);
    this.filled = 0;
    this.taken = 0;
    this.scale = (HANN.reduce((sum, w) => sum + w, 0) / 2) ** 2;
  }

  draw() {
    for (; this.taken < this.player.chunks.length; this.taken++) {
      const chunk = this.player.chunks[this.taken];
      for (let i = 0; i < chunk.length; i++) this.whole[this.filled++] = chunk[i] / 32768;
    }
    const heard = this.player.heard();
    for (; this.column < canvas.width; this.column++) {
      const middle = Math.floor(((this.column + 0.5) * this.player.total) / canvas.width);
      if (middle > heard) return;
      this.drawColumn(middle);
    }
  }

  drawColumn(middle) {
    const values = Float64Array.from(HANN, (w, i) => w * (this.whole[middle - WINDOW / 2 + i] || 0));
    const spectrum = powers(values), height = canvas.height;
    const image = this.pen.createImageData(1, height);
    for (let y = 0; y < height; y++) {
      const power = spectrum[Math.floor(((height - 1 - y) * spectrum.length) / height)];
      const db = 10 * Math.log10(power / this.scale + 1e-12);
      const [r, g, b] = colour((db - FLOOR_DB) / (TOP_DB - FLOOR_DB));
      image.data.set([r, g, b, 255], 4 * y);
    }
    this.pen.putImageData(image, this.column, 0);
    const primed = this.player.primed;
    if (primed && Math.floor((primed / this.player.total) * canvas.width) === this.column) {
      this.pen.fillStyle = "#ffffff";
      this.pen.fillRect(this.column - 1, 0, 2, height);
    }
  }
}

// ---- an utterance, from the click to the last sample -------------------------------------

async function speak() {
  stop();
  const clickedMs = performance.now(), model = chosen();
  const mine = { abort: new AbortController(), player: null, spectrogram: null };
  running = mine;
  stopButton.disabled = false;
  element("after").hidden = true;
  clear();
  caption.textContent = "The spectrogram is drawn along.";
  delete document.body.dataset.firstSoundMs;
  tell("Asked for.");
  try {
    const resumed = openSound(model); // while the click counts as a wish for sound
    const response = await request(model, mine.abort.signal);
    if (!response.ok) throw new Sentence((await response.text()).trim());
    await resumed;
    for await (const message of messages(response)) {
      if (running !== mine) return;
      take(mine, message, clickedMs);
    }
    if (!mine.player || !mine.player.hasEnded) throw new Sentence("The sound broke off: try again.");
  } catch (error) {
    if (running !== mine) return;
    finish(mine);
    if (error.name === "AbortError") return;
    tell(error instanceof Sentence ? error.message : "The server does not answer: is it running?", true);
  }
}

function take(mine, message, clickedMs) {
  if (message instanceof Int16Array) {
    mine.player.push(message);
  } else if (message.state === "waiting") {
    const who = message.before === 1 ? "One listener is" : `${message.before} listeners are`;
    tell(`${who} before you.`);
  } else if (message.state === "begun") {
    mine.player = new Player(context, message, clickedMs);
    mine.spectrogram = new Spectrogram(mine.player);
    tell("It is being made.");
    requestAnimationFrame(() => follow(mine));
  } else if (message.state === "ended") {
    mine.player.end();
    offer(mine.player);
  } else if (message.state === "failed") {
    throw new Sentence(message.sentence);
  }
}

/** Draws and tells what is heard, until all of it has been. */
function follow(mine) {
  if (running !== mine) return;
  const { player } = mine, missing = player.missingS();
  mine.spectrogram.draw();
  const data = document.body.dataset;
  data.samples = player.received;
  data.heard = player.heard();
  data.gaps = player.gaps;
  if (player.startS !== null) {
    data.firstSoundMs = Math.round(player.firstSoundMs);
    const length = (player.total / player.rate).toFixed(1);
    sayOnce(mine, "heard", `You hear it: ${length} seconds.`);
  } else if (player.received && player.share < 1) {
    sayOnce(mine, "slow", "This machine makes it slower than it is spoken: the beginning is " +
      `gathered first, ${missing.toFixed(1)} s more.`);
  }
  if (!player.isDone()) {
    requestAnimationFrame(() => follow(mine));
    return;
  }
  mine.spectrogram.draw();
  finish(mine);
  const gaps = player.gaps === 0 ? "without a gap"
    : `with ${player.gaps} gap${player.gaps > 1 ? "s" : ""} of ${player.gapS.toFixed(2)} s in all`;
  tell(`Done: ${(player.total / player.rate).toFixed(1)} seconds, ${gaps}.`);
  caption.textContent = `First sound ${Math.round(player.firstSoundMs)} ms after the click; ` +
    `0 to ${player.rate / 2000} kHz.`;
}

/** Live regions are read aloud: each thing is said once. */
function sayOnce(mine, what, sentence) {
  if (mine.said === what) return;
  mine.said = what;
  tell(sentence);
}

function offer(player) {
  const link = element("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(wav(player.samples(), player.rate));
  element("after").hidden = false;
}

function finish(mine) {
  if (mine.player) mine.player.stop();
  running = null;
  stopButton.disabled = true;
}

function stop() {
  if (!running) return;
  const mine = running;
  finish(mine);
  mine.abort.abort();
  tell("Stopped.");
}

// ---- the beginning -----------------------------------------------------------------

element("wish").addEventListener("submit", (event) => {
  event.preventDefault();
  if (chosen()) speak();
});
fields.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  element("wish").requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});
stopButton.addEventListener("click", stop);
fields.model.addEventListener("change", arrange);
for (const gesture of ["pointerdown", "keydown"]) { // before the click, where there is another
  element("wish").addEventListener(gesture, () => {
    if (!running && chosen()) openSound(chosen());
  });
}
element("wish").addEventListener("input", showValues);

async function begin() {
  showValues();
  speakButton.disabled = true;
  try {
    const response = await fetch("models");
    if (!response.ok) throw new Sentence((await response.text()).trim());
    offered = await response.json();
  } catch (error) {
    tell(error instanceof Sentence ? error.message : "The server does not answer.", true);
    return;
  }
  fields.model.replaceChildren(...offered.models.map((model) => new Option(model.name, model.name)));
  fields.text.maxLength = offered.max_characters;
  fields.seconds.max = offered.max_continued_s;
  arrange();
  speakButton.disabled = false;
  tell("Ready.");
}

begin();
