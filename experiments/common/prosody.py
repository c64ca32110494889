"""Inputs and outputs of the networks of durations, pitch and spectra (`wavenet_jax.prosody`).

Two predict what a model's local condition depends on beside the contexts of the phones: the
duration of each phone, and ln F0 and voicing of each frame. The third predicts from that condition
the mel spectrogram that the speech is to have, for `common.spectral_matching`.
"""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import data
from experiments.common.run import Run
from experiments.common.sampling import Sampling
from experiments.common.spectral_matching import Spectrum
from wavenet_jax import InputError, model_folder
from wavenet_jax.model_folder import SavedNetwork
from wavenet_jax.prosody import checkpoints
from wavenet_jax.prosody.networks import (
    DURATION_UNIT_S,
    NUM_BANDS,
    NUM_OUTPUTS,
    ProsodyConfig,
    padded_lengths,
    predict,
)

SHORTEST_S = 0.005
SPECTRUM_S = 0.032
"""Of the windows of the spectra that are predicted, to the next power of two."""
SMOOTHING_HZ = 250.0
"""Of the spectra that are predicted, as of `Spectrum`: as far as a voice's harmonics are apart."""

MIN_SPEED, MAX_SPEED = 0.5, 2.0
MAX_SEMITONES = 12.0
"""By which F0 may be shifted, up or down."""


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How a text is spoken, beside what the networks predict.

    Attributes:
      speed: by which the predicted durations are divided, from 0.5 to 2.
      pitch_semitones: by which the predicted F0 is shifted, from -12 to 12. What it leaves of the
        60 to 400 Hz that models take is cut off (`data.pitch_features`).
    """

    speed: float = 1.0
    pitch_semitones: float = 0.0

    def __post_init__(self):
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            raise InputError(
                f"The speed is {self.speed}: give a number from {MIN_SPEED} to {MAX_SPEED}."
            )
        if not -MAX_SEMITONES <= self.pitch_semitones <= MAX_SEMITONES:
            raise InputError(
                f"The pitch is shifted by {self.pitch_semitones} semitones: give a number from "
                f"{-MAX_SEMITONES} to {MAX_SEMITONES}."
            )


AS_PREDICTED = Delivery()
"""With the durations and the F0 of the networks."""


class Prosody(NamedTuple):
    """The trained networks of a work directory.

    Attributes:
      run: of the WaveNet that they belong to.
      duration, pitch: config and parameters of each network.
      spectrum: likewise; None where it was not trained.
    """

    run: Run
    duration: tuple[ProsodyConfig, Any]
    pitch: tuple[ProsodyConfig, Any]
    spectrum: tuple[ProsodyConfig, Any] | None = None

    def durations(
        self, contexts: np.ndarray, voice: np.ndarray, *, speed: float = 1.0
    ) -> np.ndarray:
        """Duration of each phone in samples, int64 `[P]`, at least 5 ms.

        Args:
          contexts: of the phones `[P, D]`.
          voice: of `voice_of`.
          speed: as of `Delivery`.
        """
        outputs = predict(*self.duration, with_voice(contexts, voice))
        seconds = np.maximum(DURATION_UNIT_S * np.exp(outputs[:, 0]) / speed, SHORTEST_S)
        # Rounding the ends, not the durations, keeps the length of the whole.
        ends = np.rint(np.cumsum(seconds) * self.run.audio.sample_rate_hz).astype(np.int64)
        return np.diff(ends, prepend=0)

    def log_f0(
        self, frames: np.ndarray, voice: np.ndarray, *, pitch_semitones: float = 0.0
    ) -> np.ndarray:
        """ln F0 and voicing, float32 `[F, 2]` as `data.log_f0` has them.

        Args:
          frames: the linguistic ones, `[F, D + 4]`.
          voice: of `voice_of`.
          pitch_semitones: as of `Delivery`.
        """
        outputs = predict(*self.pitch, with_voice(frames, voice))
        voiced = outputs[:, 1] > 0
        height = outputs[:, 0] + pitch_semitones * math.log(2) / 12
        return np.stack([height * voiced, voiced], axis=1).astype(np.float32)

    def frames(
        self,
        contexts: np.ndarray,
        voice: np.ndarray,
        *,
        delivery: Delivery = AS_PREDICTED,
        max_seconds: float = math.inf,
    ) -> tuple[np.ndarray, int]:
        """The local condition of phones without times.

        Args:
          contexts: of the phones `[P, D]`.
          voice: of `voice_of`.
          delivery: how they are spoken.
          max_seconds: the longest speech that is made.

        Returns:
          Frames as the model takes them, and the number of samples that they cover.

        Raises:
          InputError: they last longer, or the pitch of a model without pitch is shifted.
        """
        if delivery.pitch_semitones and not self.run.has_pitch:
            raise InputError(
                f"The pitch is shifted by {delivery.pitch_semitones} semitones, and the model's "
                f"local features {self.run.config.local_condition.features!r} have no pitch: leave "
                "it as it is."
            )
        ends = np.cumsum(self.durations(contexts, voice, speed=delivery.speed))
        seconds = ends[-1] / self.run.audio.sample_rate_hz
        if seconds > max_seconds:
            raise InputError(
                f"The text lasts {seconds:.0f} seconds, and at most {max_seconds:g} are spoken at "
                "a time: give it in parts."
            )
        timed = {
            "audio": np.zeros(ends[-1], np.int16),
            "phone_starts": np.concatenate([[0], ends[:-1]]),
            "phone_ends": ends,
        }
        frames = linguistic_frames(self.run, timed, contexts)
        if self.run.has_pitch:
            log_f0 = self.log_f0(frames, voice, pitch_semitones=delivery.pitch_semitones)
            pitch = data.pitch_features(log_f0)
            frames = np.concatenate([frames, pitch], axis=1)
        return frames, int(ends[-1])

    def spectrum_of(self, frames: np.ndarray, voice: np.ndarray) -> Spectrum | None:
        """The mel spectrogram that speech is to have, None without the network.

        Args:
          frames: as the model takes them, `[F, C]`.
          voice: of `voice_of`.
        """
        if self.spectrum is None:
            return None
        outputs = predict(*self.spectrum, with_voice(frames, voice))
        return Spectrum(outputs.astype(np.float32), mel_of(self.run), SMOOTHING_HZ)

    def spectra_of(
        self, frames: Sequence[np.ndarray], voices: Sequence[np.ndarray]
    ) -> list[Spectrum] | None:
        """`spectrum_of` of several conditions, None without the network."""
        spectra = [self.spectrum_of(*each) for each in zip(frames, voices, strict=True)]
        known = [each for each in spectra if each is not None]
        return known if len(known) == len(spectra) else None

    def frames_of(self, corpus: data.Corpus, number: int) -> list[tuple[np.ndarray, int]]:
        """`frames` of a corpus's first recordings, each in its voice, from their phones alone."""
        return [
            self.frames(
                contexts_of(self.run, corpus.recording(i)),
                voice_of(self.run, self.run.global_condition_of(corpus, i)),
            )
            for i in range(number)
        ]

    def compile(self, max_samples: int, max_phones: int) -> None:
        """Compiles the networks for every text that is as short, so that none waits for it."""
        max_frames = -(-max_samples // self.run.config.local_condition.hop_samples)
        for network, longest in ((self.duration, max_phones), (self.pitch, max_frames)):
            for length in padded_lengths(longest):
                predict(*network, np.zeros((length, network[0].features), np.float32))


OPTIONAL = ("spectrum",)
"""Networks that a model speaks without, as those did that were trained before there was one."""


def load(workdir: str | os.PathLike[str], run: Run) -> Prosody:
    """Restores the networks that `experiments.train_prosody` trained for a run.

    Args:
      workdir: of the run, or the folder of a model.
      run: of the WaveNet there.

    Raises:
      InputError: there is none, or it is for other contexts.
    """
    networks = {}
    for kind in NUM_OUTPUTS:
        saved = network(workdir, kind)
        if saved is None and kind in OPTIONAL:
            continue
        if saved is None:
            remedy = f"run python -m experiments.train_prosody --workdir={workdir} --data_dir=DIR"
            if model_folder.is_model_folder(workdir):
                remedy = "train them with experiments.train_prosody in its run, and export it again"
            raise InputError(f"{workdir} has no trained {kind} model: {remedy}.")
        check_fits(run, saved, workdir)
        networks[kind] = saved.config, saved.params
    return Prosody(run, **networks)


def for_matching(sampling: Sampling, workdir: str | os.PathLike[str], run: Run) -> Prosody | None:
    """The networks of a model of text whose copies are to have predicted spectra; None of another
    model, or where nothing is matched.

    Raises:
      InputError: as `load`.
    """
    if not sampling.spectral_matching or run.phone_contexts is None:
        return None
    return load(workdir, run)


def network(workdir: str | os.PathLike[str], kind: str) -> SavedNetwork | None:
    """The trained network of a kind of a run or of a model's folder, None if it has none."""
    if model_folder.is_model_folder(workdir):
        return model_folder.read_network(workdir, kind)
    saved = checkpoints.restore(workdir, kind)
    if saved is None or int(saved.state.step) < saved.config.num_steps:
        return None
    return SavedNetwork(saved.config, saved.state.params, saved.description)


def check_fits(
    run: Run,
    saved: SavedNetwork | checkpoints.ProsodyCheckpoint,
    workdir: str | os.PathLike[str],
) -> None:
    """Refuses a network that was trained for another corpus.

    Raises:
      InputError: it was.
    """
    if saved.description != description(run):
        raise InputError(
            f"The {saved.config.kind} model in {workdir} was trained for other phones, voices or "
            f"frames than the WaveNet there: move {workdir}/prosody away and train it again."
        )


def description(run: Run) -> dict[str, Any]:
    """The labels and frames that a run's networks are for, fit for JSON."""
    classes = {label: list(names) for label, names in run.audio.classes.items()}
    if run.questions:
        classes["questions"] = list(run.questions)
    return {
        "classes": classes,
        "sample_rate_hz": run.audio.sample_rate_hz,
        "hop_samples": run.config.local_condition.hop_samples,
    }


def voice_of(run: Run, condition: np.ndarray | None) -> np.ndarray:
    """A global condition as a vector, float32 `[V]`; without one V is 0."""
    if condition is None:
        return np.zeros(0, np.float32)
    if np.ndim(condition) == 0:
        assert run.wavenet.global_condition is not None
        return np.eye(run.wavenet.global_condition.size, dtype=np.float32)[condition]
    return np.asarray(condition, np.float32)


def with_voice(features: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """Features `[T, D]` with the voice appended to each, `[T, D + V]`."""
    return np.concatenate([features, np.tile(voice, (len(features), 1))], axis=1)


def linguistic_frames(run: Run, recording: Mapping[str, Any], contexts: np.ndarray) -> np.ndarray:
    """The model's frames without pitch, `[F, D + 4]`."""
    return data.expand_contexts(
        recording,
        contexts,
        hop_samples=run.config.local_condition.hop_samples,
        sample_rate_hz=run.audio.sample_rate_hz,
        with_pitch=False,
    )


def duration_example(run: Run, recording: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Contexts `[P, D]` and ln(duration / 0.1 s) `[P, 1]` of a recording."""
    contexts = contexts_of(run, recording)
    samples = np.asarray(recording["phone_ends"]) - np.asarray(recording["phone_starts"])
    seconds = np.maximum(samples / run.audio.sample_rate_hz, SHORTEST_S)
    return contexts, np.log(seconds / DURATION_UNIT_S).astype(np.float32)[:, None]


def pitch_example(run: Run, recording: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Linguistic frames `[F, D + 4]`, and ln F0 and voicing `[F, 2]`, of a recording."""
    frames = linguistic_frames(run, recording, contexts_of(run, recording))
    hop_samples = run.config.local_condition.hop_samples
    return frames, data.log_f0(recording, hop_samples, run.audio.sample_rate_hz)


def spectrum_example(run: Run, recording: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The model's frames `[F, C]`, and the mel spectrogram `[F, M]`, of a recording."""
    assert run.local_features is not None
    return run.local_features(recording), data.mel_spectrogram(recording["audio"], mel_of(run))


def mel_of(run: Run) -> data.MelConfig:
    """The mel spectrogram that is predicted, a frame of it for each of the local condition."""
    rate, hop = run.audio.sample_rate_hz, run.config.local_condition.hop_samples
    n_fft = max(1 << round(math.log2(SPECTRUM_S * rate)), hop)
    return data.MelConfig(rate, hop, n_fft, NUM_BANDS, 0.0, rate / 2)


def input_names(run: Run, kind: str) -> tuple[str, ...]:
    """What the columns of a network's features are called, before those of `voice_names`."""
    columns = {
        "duration": run.context_names,
        "pitch": data.context_frame_names(run.context_names, with_pitch=False),
        "spectrum": run.names["local_condition"],
    }
    return columns[kind]


def voice_names(run: Run) -> tuple[str, ...]:
    """What the columns of `voice_of` are called."""
    return run.names.get("global_condition", ())


EXAMPLES = {
    "duration": duration_example,
    "pitch": pitch_example,
    "spectrum": spectrum_example,
}


def require_contexts(run: Run) -> None:
    """Refuses a model that cannot speak a text.

    Raises:
      InputError: its local condition is not made of the contexts of phones.
    """
    if run.phone_contexts is None:
        taken = run.config.local_condition.features or "none"
        raise InputError(
            f"The model's local features are {taken}, which no text gives: train a model of "
            "linguistic features, such as --config=experiments/configs/tts.py."
        )


def contexts_of(run: Run, example: Mapping[str, Any]) -> np.ndarray:
    """The linguistic context of each phone of an example, `[P, D]`.

    Raises:
      InputError: as `require_contexts`.
    """
    require_contexts(run)
    assert run.phone_contexts is not None
    return run.phone_contexts(example)
