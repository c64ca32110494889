"""Trained models by their folder, or that of their run: `load`, and generation of audio.

import wavenet_jax

model = wavenet_jax.load("runs/fsdd")
for pcm in model.generate(seconds=1.0, seed=7, labels="jackson"):
    ...                              # int16, at model.audio.sample_rate_hz
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wavenet_jax import autoencoder, folders, model_folder, sampling, storage
from wavenet_jax.audio import AudioConfig, audio_config
from wavenet_jax.autoencoder import AutoencoderConfig
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.config import LocalConditionConfig
from wavenet_jax.errors import InputError
from wavenet_jax.model_folder import SavedModel
from wavenet_jax.recognition.recognizer import RecognizerConfig
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig
from wavenet_jax.training import ModelConfig, wavenet_of

CHUNK_SAMPLES = 4000


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained model and the audio it is for.

    Attributes:
      config: of a WaveNet, of a student, of an autoencoder, or of a recognizer.
      params: the EMA parameters.
      audio: sample rate, filter and the names of the labels.
      step: updates that the parameters have had.
      description: all that was saved with them.
    """

    config: ModelConfig
    params: Any = dataclasses.field(repr=False)
    audio: AudioConfig
    step: int
    description: dict[str, Any] = dataclasses.field(repr=False)

    def generate(
        self,
        *,
        seconds: float | None = None,
        seed: int = 0,
        index: int = 0,
        labels: str | Sequence[str] | None = None,
        local_condition: Any = None,
        prime: np.ndarray | None = None,
        temperature: float | np.ndarray = 1.0,
        top_p: float = 1.0,
        backend: str = "auto",
        precision: str = "float32",
        chunk_samples: int = CHUNK_SAMPLES,
        part_samples: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Generates one utterance, a chunk at a time.

        The waveform is a function of the model, the conditions, `prime`, `temperature`, `top_p`,
        `precision`, `seed` and `index` alone: it is that of file `index` of
        `experiments.sample` with this seed.

        Args:
          seconds: length; None for that of the local condition.
          seed: with `index` all that the random numbers depend on.
          index: of the utterance among those of the seed.
          labels: of a model with labels, a name; for several labels or several classes of one
            a list of names, or one string with them joined by "+".
          local_condition: of a model with one, frames `[F, D]` (labels `[F]`) from the first
            sample on, that of `prime` where there is one; or an iterator of such arrays, the
            frames as they arrive.
          prime: int16 `[P]` at the model's rate, a recording to continue. Not of a student.
          temperature: of the distribution; 0 takes the most likely sample. Or that of each frame
            of the local condition, `[F]`. A student's noise is multiplied by it.
          top_p: to draw among the fewest most likely codes that have this probability together;
            1 among all.
          backend: one of `sampling.BACKENDS`, or "auto".
          precision: of the weights: float32, bfloat16 or int8.
          chunk_samples: the most samples of a chunk.
          part_samples: for who listens meanwhile, the most of a chunk that are yielded at a time,
            where the backend can (`cpu`); the samples are the same.

        Yields:
          int16 `[N]`, at `audio.sample_rate_hz`, without `prime`.

        Raises:
          InputError: at the call, for invalid arguments or a recognizer.
        """
        config = self._generator()
        rate = self.audio.sample_rate_hz
        if seconds is not None and not seconds * rate >= 1:
            raise InputError(f"The length is {seconds} seconds: give at least one sample.")
        if seconds is None and local_condition is None:
            raise InputError("The length is missing: give seconds.")
        condition = self._labelled(labels)
        if condition is not None:
            condition = condition[None]
        if isinstance(local_condition, Iterator):
            local_condition = (np.asarray(frames)[None] for frames in local_condition)
        elif local_condition is not None:
            local_condition = np.asarray(local_condition)[None]
        if config.local_condition is not None and seconds is None:
            lengths = None
        else:
            lengths = np.array([round((seconds or 0) * rate)])
        chunks = self._chunks(
            lengths,
            [index],
            seed=seed,
            global_condition=condition,
            local_condition=local_condition,
            prime=prime,
            temperature=temperature if np.ndim(temperature) == 0 else np.asarray(temperature)[None],
            top_p=top_p,
            backend=backend,
            precision=precision,
            chunk_samples=chunk_samples,
            part_samples=part_samples,
        )
        return (pcm for (pcm,) in chunks)

    def generate_batch(
        self,
        num_samples: Sequence[int] | np.ndarray,
        *,
        seed: int = 0,
        indices: Sequence[int] | None = None,
        global_condition: Any = None,
        local_condition: Any = None,
        prime: np.ndarray | None = None,
        temperature: float | np.ndarray = 1.0,
        top_p: float = 1.0,
        backend: str = "auto",
        precision: str = "float32",
        chunk_samples: int = CHUNK_SAMPLES,
        part_samples: int | None = None,
    ) -> Iterator[list[np.ndarray]]:
        """Generates a batch of utterances, a chunk at a time, each as if it were alone.

        Args:
          num_samples: length of each, `[B]`.
          seed: with an utterance's index all that its random numbers depend on.
          indices: of the utterances, `[B]`; by default 0, 1, ...
          global_condition: labels `[B]`, or tags or vectors `[B, D]`
            (`audio.named_condition`).
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, or an iterator of
            such arrays.
          prime: int16 `[P]`, a recording that each continues.
          temperature: as in `generate`; of frames `[B, F]`.
          top_p, backend, precision, chunk_samples, part_samples: as in `generate`.

        Yields:
          For each utterance its next samples, int16 `[N]`, N being 0 after its end.

        Raises:
          InputError: at the call, for invalid arguments or a recognizer.
        """
        self._generator()
        lengths = np.asarray(num_samples)
        if lengths.ndim != 1 or not len(lengths) or lengths.max() < 1:
            raise InputError(
                f"The numbers of samples are {num_samples}: give one for each utterance, and at "
                "least one above 0."
            )
        indices = range(len(lengths)) if indices is None else indices
        if len(indices) != len(lengths):
            raise InputError(
                f"There are {len(lengths)} numbers of samples and {len(indices)} indices: give as "
                "many of either."
            )
        return self._chunks(
            lengths,
            indices,
            seed=seed,
            global_condition=global_condition,
            local_condition=local_condition,
            prime=prime,
            temperature=temperature,
            top_p=top_p,
            backend=backend,
            precision=precision,
            chunk_samples=chunk_samples,
            part_samples=part_samples,
        )

    def _chunks(
        self,
        lengths: np.ndarray | None,
        indices: Sequence[int],
        *,
        seed: int,
        local_condition: Any,
        prime: np.ndarray | None,
        **options: Any,
    ) -> Iterator[list[np.ndarray]]:
        config = self._generator()
        batch = len(indices)
        local_condition = _local(config.local_condition, local_condition)
        codes = None
        if prime is not None and len(prime):
            prime = np.asarray(prime)
            if prime.ndim != 1 or prime.dtype != np.int16:
                raise InputError(
                    f"The prime has shape {prime.shape} and type {prime.dtype}: give the samples "
                    "of one recording as int16."
                )
            # The same for each, unless the filter is made from the frames of each.
            of_each = _of_each(local_condition, batch) if self.audio.envelope else [None]
            filtered = [self.audio.apply_filter(prime, frames) for frames in of_each]
            codes = np.asarray(config.quantizer.encode(np.stack(filtered)))
            codes = np.broadcast_to(codes, (batch, len(prime)))
        filters = [
            self.audio.inverse_filter(prime, frames) for frames in _of_each(local_condition, batch)
        ]
        if self.audio.envelope is not None and isinstance(local_condition, Iterator):
            local_condition = _taken(local_condition, filters)
        chunks = sampling.generate(
            config,
            self.params,
            keys=sampling.utterance_keys(seed, indices),
            num_samples=None if lengths is None else int(lengths.max()),
            local_condition=local_condition,
            prime=codes,
            **options,
        )
        # As a table, since chunks have many lengths.
        decoded_codes = np.asarray(config.quantizer.decode_int16(np.arange(config.num_classes)))

        def decoded() -> Iterator[list[np.ndarray]]:
            done = 0
            for chunk in chunks:
                pcm = decoded_codes[np.asarray(chunk)]
                if lengths is None:
                    parts = list(pcm)
                else:
                    left = np.maximum(0, lengths - done)
                    parts = [part[:end] for part, end in zip(pcm, left, strict=True)]
                yield [filter_(part) for filter_, part in zip(filters, parts, strict=True)]
                done += chunk.shape[1]

        return decoded()

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """The embeddings that an autoencoder's encoder makes of a recording: the local condition
        that it is generated again with.

        Args:
          samples: int16 `[N]` at the model's rate, the whole recording.

        Returns:
          float32 `[F, D]`, an embedding each `hop_samples` of the local condition.

        Raises:
          InputError: the model is no autoencoder; or these are no samples of a recording.
        """
        if not isinstance(self.config, AutoencoderConfig):
            raise InputError(
                "The model has no encoder: load the run of an autoencoder, such as that of "
                "experiments/configs/notes.py."
            )
        filtered = self.audio.apply_filter(np.asarray(samples))
        return autoencoder.encode(self.config, self.params, filtered)

    def _generator(self) -> GeneratorConfig:
        if isinstance(self.config, RecognizerConfig):
            raise InputError(
                "The model is a recognizer, which does not generate: load the run of a model "
                "without one."
            )
        return self.config if isinstance(self.config, StudentConfig) else wavenet_of(self.config)

    def _labelled(self, labels: str | Sequence[str] | None) -> np.ndarray | None:
        """The global condition of one utterance, by name."""
        audio, condition = self.audio, self._generator().global_condition
        if condition is None:
            if labels is not None:
                raise InputError(f"The labels are {labels!r}, and the model takes none.")
            return None
        if not audio.global_labels:
            raise InputError(
                "The model's global condition has no names: use generate_batch with "
                "global_condition."
            )
        if labels is None:
            known = "; ".join(f"{x}: {', '.join(audio.classes[x])}" for x in audio.global_labels)
            raise InputError(f"The labels are missing: name a class of each ({known}).")
        if isinstance(labels, str):
            return audio.named_condition(labels)
        return audio.global_condition(list(labels))


def load(path: str | os.PathLike[str], step: int | str | None = None) -> Model:
    """Loads a model from the folder of its training run, or from its own (`model_folder`).

    Args:
      path: the run's work directory, with `checkpoints/`; or a model's folder, with
        `model.safetensors`.
      step: of the checkpoint; or "last", or "best" for that of the best held-out score; by
        default the best where there is a score, and else the last. A model's folder has one.

    Raises:
      InputError: there is none; or it is of another version, or damaged.
    """
    if not folders.absolute(path).is_dir():
        raise InputError(f"There is no work directory {path}: train first, or name another.")
    saved = _saved(path, step)
    if "audio" not in saved.description:
        raise InputError(
            f"The checkpoint in {path} has no audio settings: save it with 'audio' in its "
            "description."
        )
    with storage.misfits(saved.description, f"The model in {os.fspath(path)}"):
        audio = audio_config(saved.description["audio"])
        _check_envelope(saved.config, audio)
    return Model(
        config=saved.config,
        params=saved.params,
        audio=audio,
        step=saved.step,
        description=saved.description,
    )


def _saved(path: str | os.PathLike[str], step: int | str | None) -> SavedModel:
    """Of a model's folder, or of a checkpoint."""
    if model_folder.is_model_folder(path):
        saved = model_folder.read(path)
        if step not in (None, "last", "best", saved.step):
            raise InputError(
                f"The step is {step!r}, and the model in {path} is of step {saved.step}: give "
                "that one or none, or name the folder of its run."
            )
        return saved
    with Checkpoints(path, read_only=True) as checkpoints:
        checkpoint = checkpoints.restore(step)
    state = checkpoint.state
    return SavedModel(
        checkpoint.model_config, state.ema_params, int(state.step), checkpoint.description
    )


def _check_envelope(config: ModelConfig, audio: AudioConfig) -> None:
    """Refuses an envelope that is not of the frames that condition the model.

    Raises:
      InputError: it is not.
    """
    if audio.envelope is None:
        return
    condition = getattr(config, "local_condition", None)
    given = (condition.kind, condition.size, condition.hop_samples) if condition else None
    wanted = ("vectors", len(audio.envelope.bands), audio.envelope.hop_samples)
    if given != wanted:
        raise InputError(
            f"The audio's envelope is of {wanted[1]} bands each {wanted[2]} samples, and the "
            f"model's local condition is {given}: restore its files from a copy."
        )


def _of_each(local_condition: Any, batch: int) -> Sequence[np.ndarray | None]:
    """The frames of each utterance, None where they are still to arrive."""
    is_array = local_condition is not None and not isinstance(local_condition, Iterator)
    return local_condition if is_array else [None] * batch


def _taken(frames: Iterator[Any], filters: Sequence[Any]) -> Iterator[Any]:
    """The frames as they arrive, taken by the filter of each utterance."""
    for arrived in frames:
        for filter_, of_one in zip(filters, np.asarray(arrived), strict=True):
            filter_.take(of_one)
        yield arrived


def _local(config: LocalConditionConfig | None, condition: Any) -> Any:
    """The local condition, or an error with what the model takes."""
    if config is None:
        if condition is not None:
            raise InputError("The model takes no local condition: leave it out.")
        return None
    shape = "[F]" if config.kind == "labels" else f"[F, {config.size}]"
    wanted = f"{config.kind} {shape} with a frame every {config.hop_samples} samples"
    if config.kind == "labels":
        wanted += f", each below {config.size}"
    if condition is None:
        raise InputError(f"The model needs a local condition: give {wanted}.")
    if isinstance(condition, Iterator):
        return condition
    condition = np.asarray(condition)
    is_integer = np.issubdtype(condition.dtype, np.integer)
    width = condition.shape[2:] if config.kind != "labels" else ()
    if (
        condition.ndim != (2 if config.kind == "labels" else 3)
        or width not in ((), (config.size,))
        or is_integer != (config.kind != "vectors")
    ):
        raise InputError(
            f"The local condition of an utterance has shape {condition.shape[1:]} and type "
            f"{condition.dtype}: give {wanted}."
        )
    return condition
