"""Between recordings and the networks of durations and pitch (`wavenet_jax.prosody`).

What is predicted is what a model's local condition is made of beside the contexts of phones:
how many samples each phone lasts, and ln F0 and voicing of each frame.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import data
from experiments.common.run import Experiment
from wavenet_jax import InputError, checkpoints
from wavenet_jax.prosody.networks import DURATION_UNIT_S, OUTPUTS, ProsodyConfig, predict

SHORTEST_S = 0.005
GROSS_ERROR = 0.2  # of F0


class Prosody(NamedTuple):
    """The trained networks of a work directory.

    Attributes:
      experiment: whose frames they complete.
      duration, pitch: each the network's config and parameters.
    """

    experiment: Experiment
    duration: tuple[ProsodyConfig, Any]
    pitch: tuple[ProsodyConfig, Any]

    def durations(self, contexts: np.ndarray, voice: np.ndarray) -> np.ndarray:
        """How many samples each phone lasts, int64 `[P]`, at least 5 ms.

        Args:
          contexts: of the phones `[P, D]`.
          voice: of `voice_of`.
        """
        outputs = predict(*self.duration, with_voice(contexts, voice))
        seconds = np.maximum(DURATION_UNIT_S * np.exp(outputs[:, 0]), SHORTEST_S)
        # Rounding the ends, not the durations, leaves the whole as long as it should be.
        ends = np.rint(np.cumsum(seconds) * self.experiment.sample_rate_hz).astype(np.int64)
        return np.diff(ends, prepend=0)

    def log_f0(self, frames: np.ndarray, voice: np.ndarray) -> np.ndarray:
        """ln F0 and voicing, float32 `[F, 2]` as `data.log_f0` has them.

        Args:
          frames: the linguistic ones, `[F, D + 4]`.
          voice: of `voice_of`.
        """
        outputs = predict(*self.pitch, with_voice(frames, voice))
        voiced = outputs[:, 1] > 0
        return np.stack([outputs[:, 0] * voiced, voiced], axis=1).astype(np.float32)

    def frames(self, contexts: np.ndarray, voice: np.ndarray) -> tuple[np.ndarray, int]:
        """The local condition of phones that are yet to be said.

        Returns:
          Frames as the model takes them, and the number of samples that they are for.
        """
        ends = np.cumsum(self.durations(contexts, voice))
        timed = {
            "audio": np.zeros(ends[-1], np.int16),
            "phone_starts": np.concatenate([[0], ends[:-1]]),
            "phone_ends": ends,
        }
        frames = linguistic_frames(self.experiment, timed, contexts)
        if self.experiment.has_pitch:
            pitch = data.pitch_features(self.log_f0(frames, voice))
            frames = np.concatenate([frames, pitch], axis=1)
        return frames, int(ends[-1])


def load(workdir: str | os.PathLike[str], experiment: Experiment) -> Prosody:
    """Reads what `experiments.train_prosody` trained for an experiment.

    Raises:
      InputError: there is none, or it is for other contexts.
    """
    networks = {}
    for kind in OUTPUTS:
        saved = checkpoints.restore_prosody(workdir, kind)
        if saved is None or int(saved.state.step) < saved.config.num_steps:
            raise InputError(
                f"{workdir} has no trained {kind} model: run python -m experiments.train_prosody "
                f"--workdir={workdir} --data_dir=DIR"
            )
        check_fits(experiment, saved, workdir)
        networks[kind] = saved.config, saved.state.params
    return Prosody(experiment, networks["duration"], networks["pitch"])


def check_fits(
    experiment: Experiment, saved: checkpoints.ProsodyCheckpoint, workdir: str | os.PathLike[str]
) -> None:
    """Refuses a network that was trained for another corpus.

    Raises:
      InputError: it was.
    """
    if saved.described != description(experiment):
        raise InputError(
            f"The {saved.config.kind} model in {workdir} was trained for other phones, voices or "
            f"frames than the WaveNet there: delete {workdir}/prosody and train it again."
        )


def description(experiment: Experiment) -> dict[str, Any]:
    """What networks of an experiment are for, fit for JSON."""
    audio = experiment.to_dict()["audio"]
    hop_samples = audio["local_condition"]["hop_samples"]
    return {
        "classes": {label: list(map(str, names)) for label, names in audio["classes"].items()},
        "sample_rate_hz": audio["sample_rate_hz"],
        "hop_samples": hop_samples,
    }


def voice_of(experiment: Experiment, condition: np.ndarray | None) -> np.ndarray:
    """A global condition as a vector, float32 `[V]`; without one V is 0."""
    if condition is None:
        return np.zeros(0, np.float32)
    if np.ndim(condition) == 0:
        assert experiment.model.global_condition is not None
        return np.eye(experiment.model.global_condition.size, dtype=np.float32)[condition]
    return np.asarray(condition, np.float32)


def with_voice(features: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """The voice beside each row, `[T, D + V]`."""
    return np.concatenate([features, np.tile(voice, (len(features), 1))], axis=1)


def linguistic_frames(
    experiment: Experiment, recording: Mapping[str, Any], contexts: np.ndarray
) -> np.ndarray:
    """The model's frames without pitch, `[F, D + 4]`."""
    return data.expand_contexts(
        recording,
        contexts,
        hop_samples=experiment.config["local_condition"]["hop_samples"],
        sample_rate_hz=experiment.sample_rate_hz,
        with_pitch=False,
    )


def duration_example(
    experiment: Experiment, recording: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Contexts `[P, D]` and ln(duration / 0.1 s) `[P, 1]` of a recording."""
    contexts = contexts_of(experiment, recording)
    samples = np.asarray(recording["phone_ends"]) - np.asarray(recording["phone_starts"])
    seconds = np.maximum(samples / experiment.sample_rate_hz, SHORTEST_S)
    return contexts, np.log(seconds / DURATION_UNIT_S).astype(np.float32)[:, None]


def pitch_example(
    experiment: Experiment, recording: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Linguistic frames `[F, D + 4]`, and ln F0 and voicing `[F, 2]`, of a recording."""
    frames = linguistic_frames(experiment, recording, contexts_of(experiment, recording))
    hop_samples = experiment.config["local_condition"]["hop_samples"]
    return frames, data.log_f0(recording, hop_samples, experiment.sample_rate_hz)


EXAMPLES = {"duration": duration_example, "pitch": pitch_example}


def require_contexts(experiment: Experiment) -> None:
    """Refuses a model that no text can be said with.

    Raises:
      InputError: its local condition, if it has one, is not made of contexts of phones.
    """
    if experiment.phone_contexts is None:
        condition = experiment.config["local_condition"]
        taken = condition["features"] if condition else "none"
        raise InputError(
            f"The model's local features are {taken}, which no text gives: train one that takes "
            "linguistic features, such as --config=experiments/configs/tts.py."
        )


def contexts_of(experiment: Experiment, example: Mapping[str, Any]) -> np.ndarray:
    """What is known of each phone before anything is said, `[P, D]`.

    Raises:
      InputError: as `require_contexts`.
    """
    require_contexts(experiment)
    assert experiment.phone_contexts is not None
    return experiment.phone_contexts(example)


def prosody_errors(
    trained: Prosody, corpus: data.Corpus, number: int | None = None
) -> dict[str, float]:
    """How far predictions are from recordings, each frame or phone once.

    Args:
      trained: of `prosody.load`.
      corpus: recordings with phones in time and pitch.
      number: how many of its first; all by default.

    Returns:
      `duration_rmse_ms` and `duration_correlation` of phones that are no pauses at an end; and
      `f0_errors` of the frames, given the true durations.
    """
    experiment = trained.experiment
    durations, pitches = [], []
    for i in range(len(corpus) if number is None else number):
        recording = corpus.recording(i)
        voice = voice_of(experiment, experiment.global_condition_of(corpus, i))
        contexts, _ = duration_example(experiment, recording)
        true = np.asarray(recording["phone_ends"]) - np.asarray(recording["phone_starts"])
        said = trained.durations(contexts, voice)
        durations.append(np.stack([true, said])[:, 1:-1] / experiment.sample_rate_hz * 1000)
        frames, heard = pitch_example(experiment, recording)
        pitches.append(np.stack([heard, trained.log_f0(frames, voice)]))
    true_ms, said_ms = np.concatenate(durations, axis=1)
    heard, predicted = np.concatenate(pitches, axis=1)
    return {
        "duration_rmse_ms": float(np.sqrt(np.mean((true_ms - said_ms) ** 2))),
        "duration_correlation": float(np.corrcoef(true_ms, said_ms)[0, 1]),
        **f0_errors(heard, predicted),
    }


def f0_errors(true: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """How far one pitch is from another.

    Args:
      true, other: ln F0 and voicing, `[F, 2]`.

    Returns:
      `voicing_error`, the share of frames whose voicing is wrong; `f0_gross_error`, the share
      of those voiced in both whose F0 is more than 20% off, which are mostly octaves that a
      tracker mistook (Rabiner et al., 1976); and over the rest of these `f0_rmse_cents`,
      `f0_median_cents` (of the absolute error) and `f0_correlation` (of ln F0). nan where too
      few frames are voiced in both.
    """
    voiced, also = true[:, 1] > 0.5, other[:, 1] > 0.5
    both = voiced & also
    near = np.abs(np.expm1(other[both, 0] - true[both, 0])) <= GROSS_ERROR
    a, b = true[both, 0][near], other[both, 0][near]
    correlation = np.corrcoef(a, b)[0, 1] if len(a) > 1 and a.std() and b.std() else np.nan
    cents = 1200 / np.log(2) * np.abs(a - b) if len(a) else np.full(1, np.nan)
    return {
        "f0_gross_error": float(np.mean(~near)) if len(near) else np.nan,
        "f0_rmse_cents": float(np.sqrt(np.mean(cents**2))),
        "f0_median_cents": float(np.median(cents)),
        "f0_correlation": float(correlation),
        "voicing_error": float(np.mean(voiced != also)),
    }


def sentence(errors: dict[str, float]) -> str:
    """What `prosody_errors` found, in words."""
    return (
        f"durations {errors['duration_rmse_ms']:.1f} ms off (correlation "
        f"{errors['duration_correlation']:.2f}), {f0_sentence(errors)}"
    )


def f0_sentence(errors: dict[str, float]) -> str:
    """What `f0_errors` found, in words."""
    return (
        f"F0 {errors['f0_median_cents']:.0f} cents off in the median, "
        f"{errors['f0_rmse_cents']:.0f} rms (correlation {errors['f0_correlation']:.2f}), but for "
        f"{errors['f0_gross_error']:.1%} of the frames, where it is another note; voicing wrong in "
        f"{errors['voicing_error']:.1%}"
    )
