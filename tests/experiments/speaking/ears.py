"""A browser that records what its page plays, sample by sample, on the thread of the sound."""

import base64
import time
from typing import Any

import numpy as np

_RECORD = """
(() => {
  const code = `registerProcessor("ears", class extends AudioWorkletProcessor {
    process([[samples]]) {
      if (samples) this.port.postMessage(samples.slice());
      return true;
    }
  })`;
  const url = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
  window.heardBlocks = [];
  const buses = new WeakMap();
  const Plain = window.AudioContext;
  window.AudioContext = class extends Plain {
    constructor(...options) {
      super(...options);
      const bus = this.createGain();
      buses.set(this, bus);
      this.audioWorklet.addModule(url).then(() => {
        const ears = new AudioWorkletNode(this, "ears", {numberOfOutputs: 1});
        ears.port.onmessage = (event) => window.heardBlocks.push(event.data);
        bus.connect(ears);
        ears.connect(this.destination);
      });
    }
  };
  const connect = AudioBufferSourceNode.prototype.connect;
  AudioBufferSourceNode.prototype.connect = function (where) {
    connect.call(this, buses.get(this.context));
    return connect.call(this, where);
  };
})();
"""

_TAKE = """
const blocks = window.heardBlocks;
window.heardBlocks = [];
const whole = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
let at = 0;
for (const block of blocks) { whole.set(block, at); at += block.length; }
let text = "";
for (const byte of new Uint8Array(whole.buffer)) text += String.fromCharCode(byte);
return btoa(text);
"""

_WAV = """
const [href, done] = arguments;
fetch(href).then((answer) => answer.arrayBuffer()).then((buffer) => {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  done(btoa(text));
});
"""


def give_ears(browser: Any) -> None:
    """Records what pages play that are opened from now on."""
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _RECORD})


def take_heard(browser: Any) -> np.ndarray:
    """What was played since the last time, in units of int16."""
    content = base64.b64decode(browser.execute_script(_TAKE))
    return np.rint(np.frombuffer(content, np.float32) * 32768).astype(np.int64)


def take_wav(browser: Any, href: str) -> bytes:
    """The file behind a link to a blob of the page."""
    browser.set_script_timeout(20)
    return base64.b64decode(browser.execute_async_script(_WAV, href))


def has_heard(browser: Any, samples: np.ndarray, seconds: float = 5.0) -> bool:
    """Whether samples were played one after the other since the last time; what the thread of the
    sound has recorded comes in a while."""
    heard, deadline = take_heard(browser), time.monotonic() + seconds
    while not is_whole(heard, samples) and time.monotonic() < deadline:
        time.sleep(0.1)
        heard = np.concatenate([heard, take_heard(browser)])
    return is_whole(heard, samples)


def is_whole(heard: np.ndarray, samples: np.ndarray) -> bool:
    """Whether samples were played one after the other, with nothing between them."""
    (sounding,) = np.nonzero(samples)
    (played,) = np.nonzero(heard)
    if not len(sounding) or not len(played):
        return False
    start, end = sounding[0], sounding[-1] + 1
    found = heard[played[0] : played[0] + end - start]
    return bool(np.array_equal(found, samples[start:end])) and not heard[played[0] + end :].any()
