"""A training run: the config, the model and the audio that a work directory is for.

`Run` is what a checkpoint's description holds. Training makes it from a config and a corpus;
sampling and scoring read it from the checkpoint, and refuse data of another kind.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from tqdm import tqdm

import data
from experiments.common import compatibility, phones
from experiments.common.envelope_taps import EnvelopeTaps
from experiments.common.local_features import FrameFunction, local_features_of, mel_config
from experiments.common.model import (
    labels_of,
    model_config,
    needs_questions,
    receptive_field_of,
    symbols_of,
)
from experiments.configs.schema import ExperimentConfig, build
from wavenet_jax import InputError
from wavenet_jax.audio import NO_FILTER, AudioConfig, audio_config
from wavenet_jax.autoencoder import AutoencoderConfig
from wavenet_jax.config import WaveNetConfig, from_dict, receptive_field, to_dict
from wavenet_jax.envelope import Envelope
from wavenet_jax.recognition import decoding
from wavenet_jax.recognition.decoding import BigramLM
from wavenet_jax.recognition.recognizer import RecognizerConfig
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training import ModelConfig, NamedAxis, TrainingConfig, wavenet_of


@dataclasses.dataclass(frozen=True)
class Run:
    """What a work directory is for.

    Attributes:
      config: the experiment's.
      model: of the WaveNet, of the recognizer, of the autoencoder or of the student.
      audio: sample rate, filter and the classes of the labels that the model depends on.
      bigram_lm: the language model of a recognizer's phones.
      questions: lines of the HTS question file that the local features depend on.
      teacher_sha256: of the parameters that a student is distilled from.
    """

    config: ExperimentConfig
    model: ModelConfig
    audio: AudioConfig
    bigram_lm: BigramLM | None = None
    questions: tuple[str, ...] = ()
    teacher_sha256: str | None = None

    # -- to and from a checkpoint ------------------------------------------------------

    @classmethod
    def create(cls, config: ExperimentConfig, corpus: data.Corpus) -> Self:
        """The run of an experiment on a corpus.

        Raises:
          InputError, data.DataError: the config does not fit the corpus, or itself.
        """
        _check_rate(corpus, config.sample_rate_hz)
        classes = {label: _classes(corpus, label) for label in labels_of(config)}
        questions = _questions(corpus) if needs_questions(config) else ()
        _check_multi_label(corpus, config)
        run = cls(
            config=config,
            model=model_config(config, classes, questions),
            audio=AudioConfig(
                sample_rate_hz=config.sample_rate_hz,
                filter_taps=_filter_taps(config, corpus),
                classes=classes,
                global_labels=config.global_condition.labels,
                multi_label=config.global_condition.multi_label,
                envelope=_envelope(config),
            ),
            questions=questions,
        )
        if config.segment_samples % run.hop_samples:
            raise InputError(
                f"--config.segment_samples is {config.segment_samples}: give a multiple of "
                f"{run.hop_samples}, the samples after which the model's frames begin together."
            )
        field, longest = receptive_field(run.wavenet), corpus.lengths.max()
        if config.model.context_stacks and field > longest:
            raise InputError(
                f"The context stacks see {field} samples, and the longest recording of "
                f"{corpus.name} has {longest}: give --config.model.context_stacks fewer or smaller "
                "dilations, or a shorter hop."
            )
        if config.task != "recognize":
            return run
        counted = phones.bigram_lm(run.phones, config.recognizer, corpus)
        return dataclasses.replace(run, bigram_lm=counted)

    def to_dict(self) -> dict[str, Any]:
        """The description of a checkpoint, fit for JSON; `from_description` reads it."""
        of_student = {"teacher_sha256": self.teacher_sha256} if self.teacher_sha256 else {}
        return of_student | {
            "model": to_dict(self.model),
            "training": to_dict(self.training),
            "audio": to_dict(self.audio),
            "experiment": to_dict(self.config),
            "bigram_lm": self.bigram_lm and self.bigram_lm.to_dict(),
            "questions": list(self.questions),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any], model: ModelConfig) -> Self:
        """The run that a checkpoint describes, also one of format version 1.

        Args:
          description: of `wavenet_jax.load`, or of `Checkpoints`.
          model: the configuration of `description["model"]`.

        Raises:
          InputError: a field is unknown or missing.
        """
        if "format_version" not in description:  # as version 1 has it
            description = compatibility.converted(description)
        if missing := {"experiment", "audio", "bigram_lm", "questions"} - description.keys():
            raise InputError(
                f"The checkpoint's description has no {min(missing)}, so that experiments.train "
                "did not write it: use wavenet_jax.load."
            )
        if not all(isinstance(line, str) for line in description["questions"]):
            raise InputError("The description's questions are no lines of text: export it again.")
        bigram_lm = description["bigram_lm"]
        return cls(
            config=from_dict(ExperimentConfig, description["experiment"], "config"),
            model=model,
            audio=audio_config(description["audio"]),
            bigram_lm=BigramLM.from_dict(bigram_lm) if bigram_lm else None,
            questions=tuple(description["questions"]),
            teacher_sha256=description.get("teacher_sha256"),
        )

    # -- the model -----------------------------------------------------------------------

    @property
    def training(self) -> TrainingConfig:
        """The config's training."""
        return self.config.training

    @property
    def wavenet(self) -> WaveNetConfig:
        """The model, the WaveNet in the recognizer or the autoencoder, or the student's teacher,
        whose codes and conditions are the student's."""
        return wavenet_of(self.model)

    @property
    def student(self) -> StudentConfig | None:
        """The model if it is a student."""
        return self.model if isinstance(self.model, StudentConfig) else None

    @property
    def receptive_field(self) -> int:
        """Samples, or of a student noise, before t that the distribution at t depends on."""
        return receptive_field_of(self.model)

    def require_likelihood(self) -> None:
        """Refuses a student.

        Raises:
          InputError: it is one.
        """
        if self.student:
            raise InputError(
                "The model is a student, which gives no likelihood of recordings: evaluate its "
                "teacher, or the student's sound with experiments.evaluate_speech or "
                "experiments.studies.copy_synthesis."
            )

    def require_encoder(self) -> AutoencoderConfig:
        """The model, which is to be an autoencoder.

        Raises:
          InputError: it is none.
        """
        if self.autoencoder is None:
            raise InputError(
                "The model has no encoder: train an autoencoder, such as "
                "--config=experiments/configs/notes.py."
            )
        return self.autoencoder

    def conditions_named(self, labels: Sequence[str] | None) -> list[np.ndarray | None]:
        """The global condition that each name stands for (`audio.named_condition`); of a model
        without labels one, None.

        Raises:
          InputError: names are missing, unknown, or given to a model without labels.
        """
        audio = self.audio
        if not audio.global_labels:
            if labels:
                raise InputError(f"--label is {','.join(labels)}, but the model has no labels.")
            return [None]
        if not labels:
            known = "; ".join(f"{x}: {', '.join(audio.classes[x])}" for x in audio.global_labels)
            raise InputError(f"--label is missing: name a class to generate with ({known}).")
        return [audio.named_condition(name) for name in labels]

    @property
    def recognizer(self) -> RecognizerConfig | None:
        """The model if it is a recognizer."""
        return self.model if isinstance(self.model, RecognizerConfig) else None

    @property
    def autoencoder(self) -> AutoencoderConfig | None:
        """The model if it is an autoencoder."""
        return self.model if isinstance(self.model, AutoencoderConfig) else None

    @property
    def is_ctc(self) -> bool:
        """Whether the model is a recognizer trained on sequences of phones without times."""
        return self.recognizer is not None and self.recognizer.loss == "ctc"

    @property
    def hop_samples(self) -> int:
        """Samples after which all frames of the model begin together."""
        if isinstance(self.model, RecognizerConfig):
            return self.model.window_hop_samples
        return self.wavenet.hop_samples

    @property
    def context_samples(self) -> int:
        """Samples before a scored segment that it depends on, in whole frames."""
        context = self.recognizer.context_samples if self.recognizer else self.margin_samples
        hop = self.hop_samples
        field = max(receptive_field(self.wavenet), self.receptive_field)
        return -(-(field + context) // hop) * hop

    @property
    def margin_samples(self) -> int:
        """Samples after a scored segment that an encoder is given; 0 without one."""
        return self.autoencoder.margin_samples if self.autoencoder else 0

    # -- conditions ------------------------------------------------------------------------

    def global_condition_of(self, corpus: data.Corpus, recording: int) -> np.ndarray | None:
        """The global condition from the labels of a recording, None if the model has none."""
        if not self.audio.global_labels:
            return None
        return data.global_condition(corpus, recording, self.audio.global_labels)

    @property
    def local_features(self) -> FrameFunction | None:
        """From a recording to the frames of its local condition, None if the model has none, or
        makes them itself (`autoencoder`)."""
        features = local_features_of(self.config.local_condition)
        if features is None or features.make is None:
            return None
        symbols = symbols_of(self.audio.classes, self.questions)
        compute, _ = features.make(self.config.local_condition, symbols, self.audio.sample_rate_hz)
        return compute

    def named_axes(self, pretrained: Self) -> tuple[NamedAxis, ...]:
        """What this run's model and a pretrained one both have names for: classes of labels,
        columns of local features, phones that are recognised."""
        mine, other = self.names, pretrained.names
        return tuple(NamedAxis(of, mine[of], other[of]) for of in mine if of in other)

    @property
    def names(self) -> dict[Any, tuple[str, ...]]:
        """What the entries of each `NamedAxis` are called."""
        names: dict[Any, tuple[str, ...]] = {}
        if labels := self.audio.global_labels:
            pairs = ((label, name) for label in labels for name in self.audio.classes[label])
            names["global_condition"] = tuple(f"{label}: {name}" for label, name in pairs)
        features = local_features_of(self.config.local_condition)
        if self.autoencoder is not None:
            size = self.autoencoder.embeddings.size
            names["local_condition"] = tuple(f"embedding {i}" for i in range(size))
        elif features is not None and features.make is not None:
            symbols = symbols_of(self.audio.classes, self.questions)
            rate = self.audio.sample_rate_hz
            _, names["local_condition"] = features.make(self.config.local_condition, symbols, rate)
        if self.recognizer is not None:
            names["classes"] = self.phones.names + ("blank",) * self.is_ctc
        return names

    @property
    def phone_contexts(self) -> FrameFunction | None:
        """From an example to the linguistic context of each phone, `[P, D]`, None if the frames
        are not made of such contexts."""
        features = local_features_of(self.config.local_condition)
        if features is None or features.contexts is None:
            return None
        compute, _ = features.contexts(symbols_of(self.audio.classes, self.questions))
        return compute

    @property
    def context_names(self) -> tuple[str, ...]:
        """The columns of `phone_contexts`, none where there are no contexts."""
        features = local_features_of(self.config.local_condition)
        if features is None or features.contexts is None:
            return ()
        _, names = features.contexts(symbols_of(self.audio.classes, self.questions))
        return names

    @property
    def has_pitch(self) -> bool:
        """Whether the frames of the local condition end with ln F0 and voicing (L+F)."""
        features = local_features_of(self.config.local_condition)
        return features is not None and features.has_pitch

    @property
    def mel(self) -> data.MelConfig | None:
        """The mel spectrogram of the local condition, None if that is another or none."""
        if self.config.local_condition.features != "mel":
            return None
        return mel_config(self.config.local_condition, self.audio.sample_rate_hz)

    # -- recognition -----------------------------------------------------------------------

    @property
    def phones(self) -> phones.Phones:
        """The phones that are recognised.

        Raises:
          InputError: the model is no recognizer.
        """
        if self.recognizer is None:
            raise InputError(
                "The model does not recognise phones: train one that does, such as "
                "--config=experiments/configs/timit.py."
            )
        return phones.phones_of(self.config.recognizer, self.audio.classes["phones"])

    def decode(
        self,
        log_probs: np.ndarray,
        *,
        decoder: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> list[decoding.Segment]:
        """The phones of a recording's posteriors (`phones.decode`)."""
        assert self.bigram_lm is not None
        return phones.decode(
            log_probs,
            self.bigram_lm,
            is_ctc=self.is_ctc,
            weights=weights or to_dict(self.config.recognizer.decoding),
            decoder=decoder,
        )

    # -- data --------------------------------------------------------------------------------

    def load(self, data_dir: str | os.PathLike[str], split: str) -> data.Corpus:
        """A split of the run's corpus, which must be of the kind that it was trained on.

        Raises:
          data.DataError: there is no such corpus or split.
          InputError: its rate, labels or questions are others.
        """
        name = self.config.dataset
        corpus = data.load(name, data_dir, split, filter_taps=self.filter_taps)
        _check_rate(corpus, self.audio.sample_rate_hz)
        for label, names in self.audio.classes.items():
            have = _classes(corpus, label)
            if have != names:
                here, there = compatibility.difference(have, names)
                raise InputError(
                    f"The {corpus.name} corpus has the {label} classes {', '.join(here)}, and "
                    f"the model was made for {', '.join(there)}: use the corpus it was "
                    "trained on."
                )
        if self.questions and (have := _questions(corpus)) != self.questions:
            here, there = compatibility.difference(have, self.questions)
            raise InputError(
                f"The {corpus.name} corpus has the questions {', '.join(here)}, and the model was "
                f"made for {', '.join(there)}: use the corpus it was trained on."
            )
        return corpus

    def recordings(
        self, corpus: data.Corpus, indices: Sequence[int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Whole recordings, by default all, with the conditions that the model takes, but for those
        that its encoder makes (`restore.TrainedModel.recordings`)."""
        return data.recordings(
            corpus,
            global_labels=self.audio.global_labels,
            local_features=self.local_features,
            hop_samples=self.frame_samples,
            indices=indices,
        )

    @property
    def filter_taps(self) -> data.Taps:
        """Of the filter of the sound that the model learns, for `data.Corpus`."""
        if self.audio.envelope is None:
            return self.audio.filter_taps
        assert self.mel is not None
        return EnvelopeTaps(self.mel, self.audio.envelope)

    def windows(
        self, corpus: data.Corpus, *, shard_index: int = 0, shard_count: int = 1
    ) -> data.WindowIterator:
        """Training batches: this process's share of `batch_size` windows.

        Raises:
          InputError: the batch does not divide over the processes.
        """
        config, condition = self.config, self.wavenet.local_condition
        if config.batch_size % shard_count:
            raise InputError(
                f"--config.batch_size is {config.batch_size}: give a multiple of {shard_count}, "
                "the number of processes."
            )
        targets = None
        if self.recognizer is not None:
            targets = phones.targets(self.phones, self.recognizer)
        return data.training_windows(
            corpus,
            segment_samples=config.segment_samples,
            context_samples=self.context_samples,
            hop_samples=self.frame_samples,
            context_frames=condition.context_frames if condition else 0,
            batch_size=config.batch_size // shard_count,
            seed=config.training.seed,
            global_labels=self.audio.global_labels,
            local_features=self.local_features,
            targets=targets,
            lookahead_samples=self.margin_samples,
            speeds=config.augmentation.speeds,
            augmentation=self._augmentation,
            shard_index=shard_index,
            shard_count=shard_count,
            num_workers=config.num_workers,
        )

    @property
    def frame_samples(self) -> int:
        """Samples of a frame of the local condition, or of the recognizer; 1 without frames."""
        framed = self.wavenet.local_condition or self.recognizer
        return framed.hop_samples if framed else 1

    @property
    def _augmentation(self) -> data.Augmentation | None:
        augmentation = build(data.Augmentation, self.config.augmentation, "augmentation")
        return None if augmentation == data.Augmentation() else augmentation

    def check_continues(self, stored: Self) -> None:
        """Refuses to resume a stored run with another model, other audio or other data.

        Raises:
          InputError: with the flag of the first field that differs, and both values.
        """
        compatibility.check_same(stored.config, self.config)
        if not np.allclose(self.audio.filter_taps, stored.audio.filter_taps, rtol=1e-6):
            raise InputError(
                "The noise-shaping filter of the corpus is another than that of the run in the "
                "work directory: prepare the same corpus, or choose another --workdir."
            )
        for label, names in stored.audio.classes.items():
            if self.audio.classes[label] != names:
                here, there = compatibility.difference(self.audio.classes[label], names)
                raise InputError(
                    f"The corpus has the {label} classes {', '.join(here)}, and the run in the "
                    f"work directory was trained on {', '.join(there)}: prepare the same corpus, "
                    "or choose another --workdir."
                )
        if self.questions != stored.questions:
            here, there = compatibility.difference(self.questions, stored.questions)
            raise InputError(
                f"The corpus has the questions {', '.join(here)}, and the run in the work "
                f"directory was trained on {', '.join(there)}: prepare the same corpus, or choose "
                "another --workdir."
            )
        if self.teacher_sha256 != stored.teacher_sha256:
            raise InputError(
                "--teacher has other parameters than the model that the run in the work directory "
                "is distilled from: name that model, or choose another --workdir."
            )


def _envelope(config: ExperimentConfig) -> Envelope | None:
    """The filter that the mel spectrogram makes, if the config asks for one.

    Raises:
      InputError: the model has no mel spectrogram, or does not generate.
    """
    if not config.noise_shaping or config.noise_shaping_of != "frames":
        return None
    if config.local_condition.features != "mel" or config.task == "recognize":
        raise InputError(
            "--config.noise_shaping_of is 'frames', which are those of the mel spectrogram that a "
            "vocoder generates from: give 'corpus', or a recipe such as "
            "experiments/configs/vocoder.py."
        )
    mel = mel_config(config.local_condition, config.sample_rate_hz)
    taps = EnvelopeTaps.create(mel, config.noise_shaping_order, config.noise_shaping)
    return taps.envelope


def _filter_taps(config: ExperimentConfig, corpus: data.Corpus) -> tuple[float, ...]:
    """The filter of the sound that the model learns, but for `_envelope`.

    Raises:
      InputError: the config asks for two.
      data.DataError: the corpus, whose recordings noise shaping is made from, is silent.
    """
    if not config.noise_shaping:
        return data.pre_emphasis_taps(config.pre_emphasis)
    if config.pre_emphasis:
        raise InputError(
            f"--config.noise_shaping is {config.noise_shaping} and --config.pre_emphasis "
            f"{config.pre_emphasis}: set one of them to 0, for there is one filter."
        )
    if config.noise_shaping_of == "frames":
        return NO_FILTER

    def recordings() -> Iterator[np.ndarray]:
        lengths = tqdm(corpus.lengths, "noise shaping", file=sys.stderr, delay=3, leave=False)
        return (corpus.recorded(i, 0, int(n)) for i, n in enumerate(lengths))

    return data.noise_shaping_taps(
        recordings,
        strength=config.noise_shaping,
        order=config.noise_shaping_order,
        gain_db=config.augmentation.gain_db,
    )


def _check_rate(corpus: data.Corpus, sample_rate_hz: int) -> None:
    if corpus.sample_rate_hz != sample_rate_hz:
        raise InputError(
            f"--config.sample_rate_hz is {sample_rate_hz}, and the {corpus.name} corpus has "
            f"{corpus.sample_rate_hz} Hz: prepare the corpus at that rate, or give "
            f"--config.sample_rate_hz={corpus.sample_rate_hz}."
        )


def _check_multi_label(corpus: data.Corpus, config: ExperimentConfig) -> None:
    condition = config.global_condition
    if condition.multi_label and len(condition.labels) > 1:
        raise InputError(
            f"--config.global_condition.multi_label is True for {len(condition.labels)} labels: "
            "name one label, or give False."
        )
    for label in condition.labels:
        if (label in corpus.multi_label) != condition.multi_label:
            number = "one class" if condition.multi_label else "several classes"
            raise InputError(
                f"A recording of {corpus.name} may have {number} of {label}: give "
                f"--config.global_condition.multi_label={not condition.multi_label}."
            )


def _classes(corpus: data.Corpus, label: str) -> tuple[str, ...]:
    if label not in corpus.class_names:
        raise InputError(
            f"The {corpus.name} corpus has no label {label!r}: "
            f"it has {', '.join(corpus.class_names) or 'none'}."
        )
    return tuple(map(str, corpus.class_names[label]))


def _questions(corpus: data.Corpus) -> tuple[str, ...]:
    if not corpus.questions:
        raise InputError(
            f"The {corpus.name} corpus has no HTS questions: prepare it with --questions=FILE, or "
            "choose other --config.local_condition.features."
        )
    return tuple(corpus.questions)
