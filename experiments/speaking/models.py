"""The models that the page offers, compiled and ready, and the speech that they begin."""

import abc
import itertools
import math
import pathlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

import data
from experiments.common import prosody, restore
from experiments.common.sampling import Sampling
from experiments.speaking import wishes
from experiments.speaking.wishes import RecordingWish, TextWish
from experiments.tasks import speech
from experiments.tasks.speech import Speech
from wavenet_jax import InputError, receptive_field
from wavenet_jax.loading import CHUNK_SAMPLES

PHONES_S = 10.0
"""In which eSpeak NG has to give the phones of a text."""

CONTINUED_CHUNK_S = 0.1
HEARD_PRIME_S = 2.0
"""End of the recording that is heard before what goes on from it."""


class OfferedModel(abc.ABC):
    """A model of the page.

    Attributes:
      name: by which it is asked for.
      share: sound that it generates in a second, in seconds; 0 before it is warm.
    """

    takes: ClassVar[str]  # "text" or "recording"

    def __init__(self, name: str, trained: restore.TrainedModel, sampling: Sampling) -> None:
        self.name, self.share = name, 0.0
        self._trained, self._sampling = trained, sampling

    @property
    def sample_rate_hz(self) -> int:
        return self._trained.run.audio.sample_rate_hz

    def description(self) -> dict[str, Any]:
        """What the page shows of it, for JSON."""
        return {
            "name": self.name,
            "takes": self.takes,
            "speakers": list(self.speakers),
            "has_pitch": self._trained.run.has_pitch,
            "sample_rate_hz": self.sample_rate_hz,
            "share": round(self.share, 3),
        }

    @property
    def speakers(self) -> Sequence[str]:
        """Names of the voices, none for a model of one."""
        audio = self._trained.run.audio
        return audio.classes[audio.global_labels[0]] if audio.global_labels else ()

    @abc.abstractmethod
    def begin(self, wish: Any) -> Speech:
        """The speech of a wish that says what the model takes; nothing is generated yet.

        Raises:
          InputError, data.DataError: it cannot be granted.
        """

    @abc.abstractmethod
    def warm(self) -> None:
        """Compiles all programs that generation needs, and measures its share of real time."""

    def note_share(self, sound_s: float, seconds: float) -> None:
        """Has the share follow what the machine does meanwhile."""
        weight = min(0.5, 0.1 * sound_s)  # what is short says little
        self.share += weight * (sound_s / max(seconds, 1e-6) - self.share)

    def rest(self) -> None:  # noqa: B027, for most have nothing to do
        """What is done while nothing is generated, for the next wish."""

    def close(self) -> None:  # noqa: B027, for most start nothing
        """Ends what it has started."""

    def _measure(self, speech: Speech) -> None:
        """The share of real time, from the second chunk on."""
        count, began_s = 0, 0.0
        for chunk in speech.chunks:
            if not began_s:
                began_s = time.perf_counter()
            else:
                count += len(chunk)
        self.share = count / speech.sample_rate_hz / (time.perf_counter() - began_s)


class TextModel(OfferedModel):
    """A model that speaks a text: of eSpeak's phones, with networks of durations and pitch."""

    takes = "text"

    def __init__(
        self,
        name: str,
        trained: restore.TrainedModel,
        spoken: prosody.Prosody,
        sampling: Sampling,
    ) -> None:
        super().__init__(name, trained, sampling)
        self._spoken = spoken
        self._espeak: data.espeak.Process | None = None

    def begin(self, wish: TextWish) -> Speech:
        run = self._trained.run
        assert run.config.voice is not None
        if wish.speaker and wish.speaker not in self.speakers:
            known = ", ".join(self.speakers) or "none, for the model has one voice"
            raise InputError(f"There is no speaker {wish.speaker[:40]!r}: use one of {known}.")
        foreign = data.espeak.unspeakable([wish.text], voice=run.config.voice)
        if foreign:
            parts = ", ".join(repr(part[:20]) for part in sorted(foreign)[:5])
            raise InputError(
                f"The voice {run.config.voice} cannot say {parts}: leave it out, or write "
                "it in the voice's language."
            )
        return speech.stream(
            self._trained,
            self._spoken,
            self._phones(wish.text),
            speaker=wish.speaker or next(iter(self.speakers), None),
            seed=wish.seed,
            sampling=self._sampling.at(wish.temperature),
            delivery=wish.delivery,
            max_seconds=wishes.MAX_SPOKEN_S,
        )

    def warm(self) -> None:
        run = self._trained.run
        longest = round(wishes.MAX_SPOKEN_S * self.sample_rate_hz)
        self._spoken.compile(longest, 2 * wishes.MAX_CHARACTERS)
        self._compile_chunks()
        for _ in range(2):  # the second is timed with all compiled
            warm = speech.stream(
                self._trained,
                self._spoken,
                _every_phone(len(run.audio.classes["phones"])),
                speaker=next(iter(self.speakers), None),
                sampling=self._sampling,
            )
            self._measure(warm)
        self.rest()

    def _compile_chunks(self) -> None:
        """Chunks have one of a few lengths (`generate`): those of texts of two chunks are all."""
        run, generator = self._trained.run, self._trained.generator
        assert run.wavenet.local_condition is not None
        hop, size = run.wavenet.local_condition.hop_samples, run.wavenet.local_condition.size
        names = self.speakers[:1]
        condition = run.audio.global_condition(names)[None] if names else None
        for num_samples in range(CHUNK_SAMPLES + 1, 2 * CHUNK_SAMPLES, CHUNK_SAMPLES // 16):
            frames = np.zeros((1, -(-num_samples // hop), size), np.float32)
            chunks = generator.generate_batch(
                [num_samples],
                global_condition=condition,
                local_condition=frames,
                part_samples=hop,
                top_p=self._sampling.top_p,
                backend=self._sampling.backend,
                precision=self._sampling.precision,
            )
            next(chunks)

    def rest(self) -> None:
        self._espeak = self._espeak or data.espeak.start()

    def close(self) -> None:
        if self._espeak:
            self._espeak.kill()
            self._espeak.communicate()
            self._espeak = None

    def _phones(self, text: str) -> dict[str, Any]:
        """By the eSpeak NG that is ready, if one is."""
        process, self._espeak = self._espeak, None
        if process is None or process.poll() is not None:
            process = data.espeak.start()
        timer = threading.Timer(PHONES_S, process.kill)
        timer.start()
        try:
            return speech.utterance(self._trained.run, text=text, process=process)
        finally:
            timer.cancel()


def _every_phone(number: int) -> dict[str, Any]:
    """An example with each phone once, in one word."""
    ends = 1000 * np.arange(1, number + 1)
    return {
        "phones": np.arange(number),
        "phone_stress": np.zeros(number, int),
        "phone_starts": ends - 1000,
        "phone_ends": ends,
        "words": ("word",),
        "word_starts": np.array([0]),
        "word_ends": ends[-1:],
    }


class ContinuingModel(OfferedModel):
    """A model that goes on from a recording: of no condition."""

    takes = "recording"

    def begin(self, wish: RecordingWish) -> Speech:
        return self._go_on(wishes.read_recording(wish.file, self.sample_rate_hz), wish)

    def _go_on(self, recording: np.ndarray, wish: RecordingWish) -> Speech:
        """The end of a recording, int16 `[N]` at the model's rate, and what goes on from it."""
        rate, chunk = self.sample_rate_hz, self.chunk_samples
        # Whole chunks, so that their programs are those that are compiled already.
        length = min(len(recording), self.prime_samples) // chunk * chunk
        if length < chunk:
            raise InputError(
                f"The recording lasts {len(recording) / rate:.2f} seconds: give a longer one, at "
                f"best of {self.prime_samples / rate:.0f} seconds."
            )
        prime = recording[len(recording) - length :]
        heard = prime[-round(HEARD_PRIME_S * rate) :]
        chunks = self._trained.generator.generate(
            seconds=wish.seconds,
            seed=wish.seed,
            prime=prime,
            temperature=wish.temperature,
            backend=self._sampling.backend,
            precision=self._sampling.precision,
            chunk_samples=chunk,
        )
        length = len(heard) + wish.seconds * rate
        return Speech(rate, length, _chained(heard, chunks, chunk), len(heard))

    def warm(self) -> None:
        noise = np.random.default_rng(0).normal(0, 300, self.prime_samples).astype(np.int16)
        for _ in range(2):  # the second is timed with all compiled
            warm = self._go_on(noise, RecordingWish(self.name, seconds=1))
            heard = math.ceil(warm.primed_samples / self.chunk_samples)
            self._measure(warm._replace(chunks=itertools.islice(warm.chunks, heard, None)))

    @property
    def chunk_samples(self) -> int:
        """About a tenth of a second, in whole frames of the context stacks."""
        frame = self._trained.run.wavenet.hop_samples
        return -(-round(CONTINUED_CHUNK_S * self.sample_rate_hz) // frame) * frame

    @property
    def prime_samples(self) -> int:
        """What the model depends on, in whole chunks."""
        needed = max(
            receptive_field(self._trained.run.wavenet), round(HEARD_PRIME_S * self.sample_rate_hz)
        )
        return -(-needed // self.chunk_samples) * self.chunk_samples


def _chained(heard: np.ndarray, chunks: Iterator[np.ndarray], chunk: int) -> Iterator[np.ndarray]:
    """The end of a recording, in chunks too, and what is generated after it."""
    for start in range(0, len(heard), chunk):
        yield heard[start : start + chunk]
    yield from chunks


def load(folders: Sequence[str], sampling: Sampling) -> dict[str, OfferedModel]:
    """The models of folders, of runs or exported, by the folders' names.

    Args:
      folders: the folders.
      sampling: how all are drawn, but for the temperature.

    Raises:
      InputError: a model takes neither text nor a recording alone, or two have one name.
    """
    found: dict[str, OfferedModel] = {}
    for folder in folders:
        name = pathlib.Path(folder).resolve().name
        if name in found:
            raise InputError(f"--model names {name} twice: rename one of the folders.")
        trained = restore.load(folder)
        run = trained.run
        if len(run.audio.global_labels) > 1:
            raise InputError(
                f"The model in {folder} has several labels, {', '.join(run.audio.global_labels)}, "
                "which the page does not offer: use experiments.sample."
            )
        if run.phone_contexts is not None and not run.questions and run.config.voice is not None:
            spoken = prosody.load(folder, run)
            found[name] = TextModel(name, trained, spoken, sampling)
        elif run.wavenet.local_condition is None and run.wavenet.global_condition is None:
            found[name] = ContinuingModel(name, trained, sampling)
        else:
            raise InputError(
                f"The model in {folder} takes {run.config.local_condition.features or 'labels'}, "
                "and the page gives text or a recording to go on from: leave it out."
            )
    return found
