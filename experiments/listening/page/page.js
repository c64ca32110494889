// The page of a listening test. It keeps in localStorage who the listener is, what was answered and
// is not sent yet, and what was played and chosen of the trial that is shown: a reload, a lost
// connection and a second tab lose nothing. The server is described in `serving.py`.

const KINDS = {
  mos: {
    heading: "Sound",
    task: (n) => `You will hear ${n} sounds, and say of each how good it is.`,
    question: "How good is the quality of this sound?",
    labels: ["The sound"],
    choices: [
      [5, "Excellent", "5"],
      [4, "Good", "4"],
      [3, "Fair", "3"],
      [2, "Poor", "2"],
      [1, "Bad", "1"],
    ],
  },
  preference: {
    heading: "Pair",
    task: (n) => `You will hear ${n} pairs of sounds, and say of each pair which one is better.`,
    question: "Which of the two sounds is better?",
    labels: ["First", "Second"],
    choices: [
      [-1, "The first is better", "1"],
      [0, "No preference", "0"],
      [1, "The second is better", "2"],
    ],
  },
  comparison: {
    heading: "Pair",
    task: (n) => `You will hear ${n} pairs of sounds, and compare the second with the first.`,
    question: "How good is the quality of the second sound, compared with the first?",
    labels: ["First", "Second"],
    choices: [
      [3, "Much better", "7"],
      [2, "Better", "6"],
      [1, "Slightly better", "5"],
      [0, "About the same", "4"],
      [-1, "Slightly worse", "3"],
      [-2, "Worse", "2"],
      [-3, "Much worse", "1"],
    ],
  },
  mushra: {
    heading: "Set",
    task: (n) => `You will hear ${n} sets of sounds, and rate each sound against a reference.`,
    question:
      "How good is the quality of each sound, compared with the reference? " +
      "One of them is the reference itself: give 100 to what you cannot tell from it.",
  },
};
const BANDS = ["Bad", "Poor", "Fair", "Good", "Excellent"];
const FADE_S = 0.005; // a raised cosine, and no cross-fade (BS.1534-3, section 5.3)
const RISE = Float32Array.from({ length: 33 }, (_, i) => (1 - Math.cos((Math.PI * i) / 32)) / 2);
const FALL = RISE.slice().reverse();
const PAUSE_S = 0.5; // between the sounds of a pair
const TICK_MS = 50;
const MAX_WAIT_S = 30; // until what failed is tried again
const PARTS = 100; // of a sound, each of which is to be played

// -- The page's elements --------------------------------------------------------------------------

const main = document.getElementById("screen");
const status = document.getElementById("status");
const keys = document.getElementById("keys");
const singleKeys = document.getElementById("single-keys");
let actions = {}; // of the screen that is shown: name, space, enter, digit, leave

/** An element with properties, or attributes where the name has a dash, and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** An element that a screen reader passes over, since what it shows is said elsewhere. */
const decoration = (tag, text = "") => make(tag, { "aria-hidden": "true" }, text);

/** Says what has changed: on the page, unless it is there already, and by a screen reader. */
function tell(sentence, isThere = false) {
  status.classList.toggle("unseen", isThere);
  if (status.textContent !== sentence) status.textContent = sentence;
}

/** Shows a screen: its heading has the focus, unless it is the first one. */
function show(title, nodes, { help = [], ...does } = {}) {
  actions.leave?.();
  const isFirst = !main.dataset.shown;
  const heading = make("h1", { tabIndex: -1 }, title);
  main.dataset.shown = "yes";
  main.replaceChildren(heading, ...nodes);
  document.title = title;
  actions = does;
  keys.hidden = help.length === 0;
  const describe = ([key, text]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, text)];
  document.getElementById("key-list").replaceChildren(...help.flatMap(describe));
  if (isFirst) return;
  heading.focus();
  scrollTo(0, 0);
}

document.addEventListener("keydown", (event) => {
  if (!singleKeys.checked || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const at = event.target;
  if (at.matches("button, summary, input[type=checkbox]")) {
    if (event.key === " " || event.key === "Enter") return; // theirs
  }
  if (event.key === " " && at.matches("input[type=radio]:not(:checked)")) return;
  const { space, enter, digit } = actions;
  const isDigit = /^\d$/.test(event.key);
  const action = { " ": space, Enter: enter }[event.key] ?? (isDigit ? digit : null);
  if (!action) return;
  event.preventDefault();
  action(event.key);
});

// -- What the browser keeps -----------------------------------------------------------------------

let test, session; // as the server gives them
let memory = {}; // where the browser keeps nothing

const storageKey = () => `listening-${test.test}`;

function kept() {
  let found = memory;
  try {
    found = JSON.parse(localStorage.getItem(storageKey())) ?? memory;
  } catch {
    // as where nothing is kept
  }
  return { listener: null, answered: [], unsent: [], draft: null, ...found };
}

function keep(change) {
  const state = kept();
  change(state);
  memory = state;
  try {
    localStorage.setItem(storageKey(), JSON.stringify(state));
  } catch {
    // until the page is left
  }
  return state;
}

function forget() {
  memory = {};
  try {
    localStorage.removeItem(storageKey());
  } catch {
    // nothing was kept
  }
}

// -- The server -----------------------------------------------------------------------------------

/** What the server answers; throws an Error with its sentence, and the status if there was one. */
async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(path, {
    ...(body && { method: "POST", headers, body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  if (response.ok) return response;
  const text = await response.text();
  let sentence = text.trim();
  try {
    sentence = JSON.parse(text).error;
  } catch {
    // a sentence as it is
  }
  throw Object.assign(new Error(sentence), { status: response.status });
}

/** Waits for some seconds, or for the connection to come back. */
const wait = (seconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, 1000 * seconds);
    addEventListener("online", resolve, { once: true });
  });

/** The result of a function that may fail, and is tried again until it does not. */
async function insist(attempt, sentence, isWanted = () => true) {
  for (let seconds = 1; ; seconds = Math.min(2 * seconds, MAX_WAIT_S)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isWanted()) throw error;
      tell(`${sentence}: trying again. ${error.status ? error.message : ""}`.trim());
      await wait(seconds);
    }
  }
}

let isSending = false;

/** Sends what is unsent, in order, until all of it has arrived. */
async function send() {
  if (isSending) return;
  isSending = true;
  let hasFailed = false;
  for (let seconds = 1; kept().unsent.length; ) {
    const { listener, unsent } = kept();
    const [{ trial, answer }] = unsent;
    const drop = (state) => {
      state.unsent = state.unsent.filter((each) => each.trial !== trial);
    };
    try {
      const { answered } = await (await ask("answers", { listener, trial, answer })).json();
      keep((state) => {
        if (state.listener !== listener) return;
        drop(state);
        state.answered = answered;
      });
      seconds = 1;
      if (hasFailed) tell("All answers have arrived.");
    } catch (error) {
      if (error.status === 404) {
        isSending = false;
        return showUnknown(error.message);
      }
      if (error.status === 400) {
        keep(drop); // and asked again
        tell(error.message);
        continue;
      }
      hasFailed = true;
      const number = unsent.length === 1 ? "One answer is" : `${unsent.length} answers are`;
      const reason = error.status ? ` (${error.message})` : "";
      tell(`${number} not sent yet${reason}, kept in this browser, and sent again.`);
      await wait(seconds);
      seconds = Math.min(2 * seconds, MAX_WAIT_S);
    }
  }
  isSending = false;
  if (actions.name === "end") showNext();
}

// -- Sound ----------------------------------------------------------------------------------------

const buffers = new Map(); // decoded sounds, or promises of them, by address

function load(address) {
  if (!buffers.has(address)) {
    const decoded = ask(address)
      .then((response) => response.arrayBuffer())
      // At the rate of the sounds, so that none is resampled before it is played.
      .then((bytes) => new OfflineAudioContext(1, 1, test.sample_rate_hz).decodeAudioData(bytes));
    decoded.catch(() => buffers.delete(address));
    buffers.set(address, decoded);
  }
  return buffers.get(address);
}

/** Plays one sound at a time. */
class Player {
  #context = null;
  #playing = null;
  #turn = 0;

  /** Plays from an offset in seconds to the end, then calls `ended`; or again and again. */
  async play(buffer, { offset = 0, loop = false, ended = () => {} } = {}) {
    const fadedAt = this.stop();
    const turn = this.#turn;
    this.#context ??= newContext(test.sample_rate_hz);
    if (this.#context.state !== "running") await this.#context.resume();
    if (turn !== this.#turn) return;
    const begun = Math.max(this.#context.currentTime, fadedAt);
    const source = new AudioBufferSourceNode(this.#context, { buffer, loop });
    const gain = new GainNode(this.#context, { gain: 0 });
    gain.gain.setValueCurveAtTime(RISE, begun, FADE_S);
    source.connect(gain).connect(this.#context.destination);
    source.onended = () => {
      if (this.#playing?.source !== source) return;
      this.#playing = null;
      ended();
    };
    source.start(begun, offset);
    this.#playing = { source, gain, begun };
  }

  /** Stops; gives the time of the context from which on nothing is heard. */
  stop() {
    this.#turn += 1;
    if (!this.#playing) return 0;
    const { source, gain } = this.#playing;
    const now = this.#context.currentTime;
    this.#playing = null;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueCurveAtTime(FALL, now, FADE_S);
    source.stop(now + FADE_S);
    return now + FADE_S;
  }

  /** Seconds since the sound began, or 0. */
  get elapsed() {
    return this.#playing ? Math.max(0, this.#context.currentTime - this.#playing.begun) : 0;
  }
}

function newContext(sampleRate) {
  try {
    return new AudioContext({ sampleRate });
  } catch {
    return new AudioContext(); // which resamples
  }
}

const player = new Player();

/** The sounds of a screen, each with a button. `onHeard` is called when one was played whole. */
class Sounds {
  #items;
  #isLooped;
  #onHeard;
  #playing = null; // the item
  #offset = 0; // of the item, where it began
  #position = 0; // where looped sounds go on, in seconds
  #last = null;
  #pause = 0;
  #clock = 0;

  constructor(labels, addresses, { isLooped = false, heard = [], isBrief = false, onHeard }) {
    this.#isLooped = isLooped;
    this.#onHeard = onHeard;
    this.#items = labels.map((label, i) => {
      const button = make(
        "button",
        { type: "button", className: "play", disabled: true },
        make("span", { className: "sign", "aria-hidden": "true" }),
        make("span", { className: "label" }, label),
        make("span", { className: "state" }),
        make("span", { className: "bar" }),
      );
      const item = {
        label,
        button,
        isBrief,
        address: addresses[i],
        buffer: null,
        isHeard: heard.includes(i),
        parts: new Set(), // that were played, of a looped sound
      };
      button.addEventListener("click", () => this.toggle(i));
      return item;
    });
    this.#items.forEach((item) => this.#draw(item));
  }

  get buttons() {
    return this.#items.map((item) => item.button);
  }

  get heard() {
    return this.#items.flatMap((item, i) => (item.isHeard ? [i] : []));
  }

  get isAllHeard() {
    return this.#items.every((item) => item.isHeard);
  }

  async load() {
    const loaded = await Promise.all(this.#items.map((item) => load(item.address)));
    this.#items.forEach((item, i) => {
      item.buffer = loaded[i];
      item.button.disabled = false;
      this.#draw(item);
    });
  }

  /** Plays an item, or stops it if it is what plays. */
  toggle(i) {
    const item = this.#items[i];
    const wasPlaying = this.#playing === item;
    this.stop();
    if (!wasPlaying) this.#play(item);
  }

  /** Plays an item, unless it plays. */
  play(i) {
    if (this.#playing !== this.#items[i]) this.toggle(i);
  }

  /** Plays all items, one after the other; or what was played last, of looped ones. Or stops. */
  toggleAll() {
    if (this.#playing || this.#pause) this.stop();
    else if (this.#isLooped) this.#play(this.#last ?? this.#items[0]);
    else this.#play(this.#items[0], this.#items.slice(1));
  }

  stop() {
    clearTimeout(this.#pause);
    clearInterval(this.#clock);
    this.#pause = 0;
    const item = this.#playing;
    if (!item) return;
    this.#note();
    this.#position = (this.#offset + player.elapsed) % item.buffer.duration;
    player.stop();
    this.#playing = null;
    this.#draw(item);
  }

  #play(item, others = []) {
    if (!item.buffer) return;
    this.#playing = this.#last = item;
    this.#offset = this.#isLooped && this.#position < item.buffer.duration ? this.#position : 0;
    this.#clock = setInterval(() => this.#note(), TICK_MS);
    this.#draw(item);
    const ended = () => {
      clearInterval(this.#clock);
      this.#playing = null;
      this.#hear(item);
      if (others.length === 0) return;
      this.#pause = setTimeout(() => {
        this.#pause = 0;
        this.#play(others[0], others.slice(1));
      }, 1000 * PAUSE_S);
    };
    player.play(item.buffer, { offset: this.#offset, loop: this.#isLooped, ended });
  }

  /** Notes how far the sound has come. */
  #note() {
    const item = this.#playing;
    const { duration } = item.buffer;
    const at = this.#offset + player.elapsed;
    item.button.style.setProperty("--played", (at % duration) / duration);
    if (!this.#isLooped) return;
    const [from, to] = [this.#offset, at].map((x) => Math.round((x / duration) * PARTS));
    for (let part = from; part < Math.min(to, from + PARTS); part += 1) {
      item.parts.add(part % PARTS);
    }
    if (item.parts.size === PARTS) this.#hear(item);
  }

  #hear(item) {
    const isNew = !item.isHeard;
    item.isHeard = true;
    this.#draw(item);
    if (isNew) this.#onHeard(item.label);
  }

  #draw(item) {
    const isPlaying = this.#playing === item;
    const state = item.isHeard ? "played" : item.buffer ? "not played yet" : "loading";
    const [sign, , shown] = item.button.children;
    sign.textContent = isPlaying ? "■" : "▶";
    if (item.isBrief) shown.textContent = item.isHeard ? "✓" : "";
    else shown.textContent = item.isHeard ? "✓ played" : state;
    item.button.dataset.state = isPlaying ? "playing" : "idle";
    const verb = isPlaying ? "Stop" : "Play";
    item.button.setAttribute("aria-label", `${verb} ${item.label}, ${state}`);
    if (!isPlaying) item.button.style.setProperty("--played", 0);
  }
}

// -- Screens --------------------------------------------------------------------------------------

function showStart() {
  const begin = make("button", { type: "button", className: "main" }, "I agree: begin");
  begin.disabled = true;
  const hint = make("p", { className: "hint", id: "hint" }, "Play the sound to its end first.");
  begin.setAttribute("aria-describedby", "hint");
  const sounds = new Sounds(["The sound"], ["loudness.wav"], {
    onHeard: () => {
      begin.disabled = false;
      hint.textContent = "";
      tell("You can begin now.");
    },
  });
  const join = async () => {
    if (begin.disabled) return;
    begin.disabled = true;
    try {
      await resume(kept().listener);
    } catch (error) {
      begin.disabled = false;
      if (error.status === 410) showFull(error.message);
      else tell(error.status ? error.message : "The server cannot be reached: try again.");
    }
  };
  begin.addEventListener("click", join);
  const texts = [
    KINDS[test.kind].task(test.num_trials) + " Judge by what you hear alone; no answer is wrong.",
    "Use headphones, in a quiet place. On a phone, turn its silent mode off.",
    "Play this sound, set the volume so that it is comfortable, and then leave it as it is.",
  ];
  const stored =
    "Your answers are stored, without your name, address or anything else about you. You may " +
    "stop at any time; on this device the same link brings you back to where you were.";
  show(
    "Listening test",
    [
      ...texts.map((text) => make("p", {}, text)),
      make("ul", { className: "sounds", role: "list" }, make("li", {}, ...sounds.buttons)),
      make("p", { className: "note" }, stored),
      make("div", { className: "go" }, begin, hint),
    ],
    {
      name: "start",
      space: () => sounds.toggleAll(),
      enter: join,
      leave: () => sounds.stop(),
      help: [["Space", "Play or stop the sound"], ["Enter", "Begin"]],
    },
  );
  const isShown = () => actions.name === "start";
  insist(() => sounds.load(), "The sound could not be loaded", isShown).catch(() => {});
}

function showFull(sentence) {
  show("Thank you for coming", [make("p", {}, sentence)]);
}

function showUnknown(sentence) {
  const anew = make("button", { type: "button", className: "main" }, "Begin anew");
  anew.addEventListener("click", () => {
    forget();
    begin();
  });
  show("This session has ended", [make("p", {}, sentence), make("div", { className: "go" }, anew)]);
}

function showEnd() {
  if (kept().unsent.length) {
    const sentence = "Your last answers are being sent: keep this page open.";
    show("Almost done", [make("p", {}, sentence)], { name: "end" });
    send();
    return;
  }
  const another = make("button", { type: "button" }, "Another listener on this device");
  another.addEventListener("click", () => {
    forget();
    begin();
  });
  tell("");
  show("Thank you", [
    make("p", {}, "That was all, and your answers have arrived. You can close this page."),
    make("div", { className: "go" }, another),
  ]);
}

/** Shows the first trial that is not answered, or the end. */
function showNext() {
  const { answered, unsent } = kept();
  const done = new Set([...answered, ...unsent.map((each) => each.trial)]);
  const left = session.trials.map((_, i) => i).filter((i) => !done.has(i));
  if (left.length === 0) return showEnd();
  const wanted = left.slice(0, 2).flatMap(addressesOf);
  for (const address of buffers.keys()) if (!wanted.includes(address)) buffers.delete(address);
  showTrial(left[0], done.size, left[1]);
}

function addressesOf(trial) {
  const { sounds, reference } = session.trials[trial];
  const names = reference ? [reference, ...sounds] : sounds;
  return names.map((name) => `sounds/${session.listener}/${name}`);
}

function showTrial(trial, numDone, next) {
  const kind = KINDS[test.kind];
  const isMushra = test.kind === "mushra";
  const addresses = addressesOf(trial);
  const labels = kind.labels ?? addresses.map((_, i) => (i ? `Sound ${i}` : "Reference"));
  const { draft } = kept();
  const before = draft?.trial === trial ? draft : { heard: [], values: {} };
  const sounds = new Sounds(labels, addresses, {
    isLooped: isMushra,
    isBrief: isMushra,
    heard: before.heard,
    onHeard: (label) => {
      update();
      tell(sounds.isAllHeard ? "All is played: you can answer now." : `${label} is played.`);
    },
  });
  const input = isMushra
    ? makeSliders(sounds, before.values, update)
    : makeChoices(kind, before.values, update);
  const go = make("button", { type: "submit", className: "main" }, "Next");
  const hint = make("p", { className: "hint", id: "hint" });
  go.setAttribute("aria-describedby", "hint");
  const form = make("form", {}, input.fieldset, make("div", { className: "go" }, go, hint));

  function update() {
    keep((state) => {
      state.draft = { trial, heard: sounds.heard, values: input.values };
    });
    if (input.answer) tell("");
    refresh();
  }

  function refresh() {
    input.allow(sounds.isAllHeard);
    go.disabled = !(sounds.isAllHeard && input.answer);
    const all = labels.length > 1 ? "each sound" : "the sound";
    if (!sounds.isAllHeard) hint.textContent = `Play ${all} to its end first.`;
    else hint.textContent = input.answer ? "" : input.missing;
  }

  function submit() {
    if (go.disabled) return tell(hint.textContent, true);
    keep((state) => {
      state.unsent.push({ trial, answer: input.answer });
      state.draft = null;
    });
    tell("");
    send();
    showNext();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  refresh();
  const num = session.trials.length;
  const numbers = `${numDone + 1} of ${num}`;
  const progress = make("progress", { max: num, value: numDone, "aria-label": "Progress" });
  const shown = isMushra ? sounds.buttons.slice(0, 1) : sounds.buttons; // the others have sliders
  const list = make("ul", { className: "sounds", role: "list" });
  list.append(...shown.map((button) => make("li", {}, button)));
  show(
    `${kind.heading} ${numbers}`,
    [
      make("div", { className: "progress" }, progress, decoration("span", numbers)),
      make("p", { className: "question", id: "question" }, kind.question),
      list,
      form,
    ],
    {
      name: trial,
      space: () => sounds.toggleAll(),
      enter: submit,
      digit: (key) => {
        if (isMushra) input.digit(Number(key));
        else if (sounds.isAllHeard) input.digit(key);
        else tell(hint.textContent, true);
      },
      leave: () => sounds.stop(),
      help: input.help,
    },
  );
  insist(() => sounds.load(), "The sounds could not be loaded", () => actions.name === trial)
    .then(() => {
      if (status.textContent.startsWith("The sounds could not")) tell("");
      if (next !== undefined) return Promise.all(addressesOf(next).map(load));
    })
    .catch(() => {}); // the next trial asks again
}

/** One answer of several. */
function makeChoices(kind, values, onChange) {
  const inputs = kind.choices.map(([value]) =>
    make("input", { type: "radio", name: "answer", value, checked: values.answer === value }),
  );
  inputs.forEach((each) => each.addEventListener("change", onChange));
  const labels = kind.choices.map(([, text, key], i) => {
    const parts = [inputs[i], make("span", {}, text), decoration("kbd", key)];
    return make("label", { className: "choice" }, ...parts);
  });
  const chosen = () => inputs.find((each) => each.checked);
  const group = { role: "radiogroup", "aria-labelledby": "question" };
  const fieldset = make("fieldset", group, ...labels);
  return {
    fieldset,
    allow(isAllowed) {
      fieldset.disabled = !isAllowed;
    },
    missing: "Choose an answer.",
    help: [
      ["Space", "Play or stop"],
      [kind.choices.map(([, , key]) => key).sort().join(" "), "Choose an answer"],
      ["Enter", "Go on"],
    ],
    get values() {
      return chosen() ? { answer: Number(chosen().value) } : {};
    },
    get answer() {
      return chosen() ? [Number(chosen().value)] : null;
    },
    digit(key) {
      const i = kind.choices.findIndex((choice) => choice[2] === key);
      if (i < 0) return;
      inputs[i].checked = true;
      inputs[i].focus();
      onChange();
    },
  };
}

/** A slider for each sound but the first, the reference. */
function makeSliders(sounds, values, onChange) {
  const given = { ...values }; // by the place of the sound
  const [, ...buttons] = sounds.buttons;
  const sliders = [];
  const rows = buttons.map((button, i) => {
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1 });
    slider.value = given[i] ?? 0;
    const output = decoration("output");
    const draw = () => {
      const band = BANDS[Math.min(4, Math.floor(slider.value / 20))];
      output.textContent = given[i] ?? "–";
      slider.setAttribute("aria-label", `Sound ${i + 1}`);
      slider.setAttribute("aria-valuetext", i in given ? `${given[i]}, ${band}` : "not rated");
    };
    const rate = () => {
      given[i] = Number(slider.value);
      draw();
      onChange();
    };
    // What is rated is what plays (BS.1534-3, section 5.4).
    const listen = () => sounds.play(i + 1);
    slider.addEventListener("pointerdown", listen);
    slider.addEventListener("input", rate);
    slider.addEventListener("click", rate); // where it stands already
    slider.addEventListener("keydown", (event) => {
      if (!/^(Arrow|Page|Home|End)/.test(event.key)) return;
      listen();
      setTimeout(rate);
    });
    draw();
    sliders.push(slider);
    const track = make("div", { className: "slider" }, slider);
    return make("li", { className: "row" }, button, track, output);
  });
  const scale = make("ol", {}, ...BANDS.map((band) => make("li", {}, band)));
  return {
    fieldset: make(
      "fieldset",
      { role: "group", "aria-labelledby": "question" },
      make("div", { className: "scale", "aria-hidden": "true" }, scale),
      make("ul", { className: "rows", role: "list" }, ...rows),
    ),
    allow(isAllowed) {
      for (const slider of sliders) slider.disabled = !isAllowed;
    },
    missing: "Rate each sound.",
    help: [
      ["Space", "Play or pause"],
      ["0", "Switch to the reference"],
      [`1 to ${Math.min(9, sliders.length)}`, "Switch to a sound, and to its slider"],
      ["← →", "Move the slider"],
      ["Enter", "Go on"],
    ],
    get values() {
      return given;
    },
    get answer() {
      return sliders.every((_, i) => i in given) ? sliders.map((_, i) => given[i]) : null;
    },
    digit(i) {
      if (i >= sounds.buttons.length || sounds.buttons[i].disabled) return;
      sounds.play(i);
      const slider = sliders[i - 1];
      (slider && !slider.disabled ? slider : sounds.buttons[i]).focus();
    },
  };
}

// -- The way through ------------------------------------------------------------------------------

/** Takes a session, or goes on with that of a listener. */
async function resume(listener) {
  session = await (await ask("session", { listener })).json();
  keep((state) => {
    state.listener = session.listener;
    state.answered = session.answered;
  });
  send();
  showNext();
}

async function begin() {
  test = await insist(async () => (await ask("test")).json(), "The server cannot be reached");
  tell("");
  const { listener } = kept();
  if (listener === null) {
    return test.is_open ? showStart() : showFull("Enough people have taken part.");
  }
  const unknown = await insist(async () => {
    try {
      await resume(listener);
    } catch (error) {
      if (error.status !== 404) throw error;
      return error;
    }
  }, "The server cannot be reached");
  if (unknown) showUnknown(unknown.message);
}

// Another tab of this listener has answered.
addEventListener("storage", (event) => {
  if (!session || event.key !== storageKey()) return;
  const { listener, answered, unsent } = kept();
  if (listener !== session.listener) return begin();
  if ([...answered, ...unsent.map((each) => each.trial)].includes(actions.name)) showNext();
});

begin();
