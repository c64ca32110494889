"""From a config file and a corpus to what the library takes, and back.

`Experiment` is what a checkpoint's config describes: the model, the training and
the audio they are for. Training makes it from the config file and the corpus;
sampling and scoring read it from the checkpoint, and refuse data of another kind.
"""

import dataclasses
import functools
import json
import os
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import ml_collections
import numpy as np

import data
from experiments.common import phones
from wavenet_jax import InputError
from wavenet_jax.config import (
    ConditionConfig,
    LocalConditionConfig,
    WaveNetConfig,
    from_dict,
    receptive_field,
)
from wavenet_jax.recognition import decoding
from wavenet_jax.recognition.decoding import BigramLM
from wavenet_jax.training import TrainingConfig

MAX_SHOWN = 20  # of the classes that differ from a corpus's


class LocalFeatures(NamedTuple):
    """What `config.local_condition.features` may name.

    Attributes:
      labels: names of the labels whose classes they need.
      make: from `config.local_condition`, the classes of those labels and the sample
        rate to (a function from recording to frames, their width).
      contexts: where frames are made of what is known of each phone before anything is
        said: from `config.local_condition` and those classes to (a function from an
        example to contexts `[P, D]`, D).
      has_pitch: whether such frames end with F0 and voicing (`data.pitch_features`).
    """

    labels: tuple[str, ...]
    make: Callable[[Mapping[str, Any], Mapping[str, Any], int], tuple[Callable, int]]
    contexts: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Callable, int]] | None = None
    has_pitch: bool = False


def _phones(condition: Mapping[str, Any], classes: Mapping[str, Any], sample_rate_hz: int):
    """Phone, neighbours, position, pitch (`data.phone_features`)."""
    num_phones = len(classes["phones"])
    compute = functools.partial(
        data.phone_features,
        hop_samples=condition["hop_samples"],
        num_phones=num_phones,
        sample_rate_hz=sample_rate_hz,
    )
    return compute, data.num_phone_features(num_phones)


def _mel(condition: Mapping[str, Any], classes: Mapping[str, Any], sample_rate_hz: int):
    """Mel spectrogram (`data.mel_spectrogram`)."""
    config = _mel_config(condition, sample_rate_hz)
    return data.MelFeatures(config), config.num_mels


def _linguistic(
    condition: Mapping[str, Any],
    classes: Mapping[str, Any],
    sample_rate_hz: int,
    *,
    with_pitch: bool,
):
    """Phone, syllable, word and phrase (`data.linguistic_features`)."""
    names = tuple(map(str, classes["phones"]))
    compute = functools.partial(
        data.linguistic_features,
        names=names,
        hop_samples=condition["hop_samples"],
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )
    return compute, data.num_linguistic_features(len(names), with_pitch=with_pitch)


def _linguistic_contexts(condition: Mapping[str, Any], classes: Mapping[str, Any]):
    """What `_linguistic` makes frames of (`data.phone_contexts`)."""
    del condition
    names = tuple(map(str, classes["phones"]))
    compute = functools.partial(data.phone_contexts, names=names)
    return compute, data.num_context_features(len(names))


def _hts(
    condition: Mapping[str, Any],
    classes: Mapping[str, Any],
    sample_rate_hz: int,
    *,
    with_pitch: bool,
):
    """Answers to questions about labels of HTS (`data.hts.linguistic_features`)."""
    questions = _questions(classes)
    compute = functools.partial(
        data.hts.linguistic_features,
        questions=questions,
        hop_samples=condition["hop_samples"],
        sample_rate_hz=sample_rate_hz,
        with_pitch=with_pitch,
    )
    return compute, data.num_context_frame_features(len(questions.names), with_pitch=with_pitch)


def _hts_contexts(condition: Mapping[str, Any], classes: Mapping[str, Any]):
    """What `_hts` makes frames of (`data.hts.phone_contexts`)."""
    del condition
    questions = _questions(classes)
    return functools.partial(data.hts.phone_contexts, questions=questions), len(questions.names)


def _questions(classes: Mapping[str, Any]) -> data.hts.Questions:
    return data.hts.Questions.parse(classes["questions"], "the corpus's question file")


LOCAL_FEATURES = types.MappingProxyType(
    {
        "phones": LocalFeatures(("phones",), _phones),
        "linguistic": LocalFeatures(
            ("phones",), functools.partial(_linguistic, with_pitch=False), _linguistic_contexts
        ),
        "linguistic_f0": LocalFeatures(
            ("phones",), functools.partial(_linguistic, with_pitch=True), _linguistic_contexts, True
        ),
        "hts": LocalFeatures(
            ("questions",), functools.partial(_hts, with_pitch=False), _hts_contexts
        ),
        "hts_f0": LocalFeatures(
            ("questions",), functools.partial(_hts, with_pitch=True), _hts_contexts, True
        ),
        "mel": LocalFeatures((), _mel),
    }
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Attributes:
    config: the config file's content, overrides included.
    model: of the network.
    training: of its parameters.
    sample_rate_hz: of all audio.
    pre_emphasis: coefficient of `data.emphasis`, in which the model hears and speaks.
    classes: names of the classes of each label that conditions the model, or is recognised.
    bigram_lm: what is known of sequences of phones, of a recognizer.
    """

    config: dict[str, Any]
    model: WaveNetConfig
    training: TrainingConfig
    sample_rate_hz: int
    pre_emphasis: float
    classes: dict[str, list[str]]
    bigram_lm: BigramLM | None = None

    @classmethod
    def create(cls, config: ml_collections.ConfigDict, corpus: data.Corpus) -> Self:
        """An experiment on a corpus.

        Raises:
          InputError, data.DataError: the config does not fit the corpus, or itself.
        """
        _require_rate(corpus, config.sample_rate_hz)
        classes = {label: list(_classes(corpus, label)) for label in labels_of(config)}
        if condition := config.global_condition:
            _require_several(corpus, condition)
        for name in (
            "batch_size",
            "segment_samples",
            "log_every",
            "checkpoint_every",
            "keep_checkpoints",
            "held_out_recordings",
        ):
            if config[name] < 1:
                raise InputError(f"The config's {name} is {config[name]}: give at least 1.")
        model = model_config(config, classes)
        if config.segment_samples % model.hop_samples:
            raise InputError(
                f"The config's segment_samples is {config.segment_samples}, and the model's "
                f"frames begin anew every {model.hop_samples} samples: make it a multiple of them."
            )
        if model.context_stacks and receptive_field(model) > (longest := corpus.lengths.max()):
            raise InputError(
                f"The context stacks see {receptive_field(model)} samples, and the longest "
                f"recording of {corpus.name} has {longest}: use fewer or smaller dilations, or "
                "a shorter hop."
            )
        described = config.to_dict()
        counted = None
        if model.recognizer is not None:
            recognizer = described["recognizer"]
            folded = phones.phones_of(recognizer, classes["phones"])
            counted = phones.bigram_lm(folded, recognizer, corpus)
        return cls(
            config=described,
            model=model,
            training=TrainingConfig(
                num_steps=config.num_steps, seed=config.seed, **config.training.to_dict()
            ),
            sample_rate_hz=config.sample_rate_hz,
            pre_emphasis=config.pre_emphasis,
            classes=classes,
            bigram_lm=counted,
        )

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint stores, fit for JSON."""
        return {
            "experiment": self.config,
            "model": dataclasses.asdict(self.model),
            "training": dataclasses.asdict(self.training),
            "audio": {
                "sample_rate_hz": self.sample_rate_hz,
                "pre_emphasis": self.pre_emphasis,
                "classes": self.classes,
                "local_condition": self.config["local_condition"],
            },
            "bigram_lm": self.bigram_lm and self.bigram_lm.to_dict(),
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Self:
        """What `to_dict` stored."""
        return cls(
            config=described["experiment"],
            model=from_dict(WaveNetConfig, described["model"], "model"),
            training=TrainingConfig(**described["training"]),
            sample_rate_hz=described["audio"]["sample_rate_hz"],
            pre_emphasis=described["audio"]["pre_emphasis"],
            classes=described["audio"]["classes"],
            bigram_lm=BigramLM.from_dict(counted)
            if (counted := described.get("bigram_lm"))
            else None,
        )

    @property
    def global_labels(self) -> tuple[str, ...]:
        """The labels that condition a whole recording."""
        condition = self.config["global_condition"]
        return tuple(condition["labels"]) if condition else ()

    @property
    def is_multi_label(self) -> bool:
        """Whether the global label is one of which a recording may have several classes."""
        return bool((self.config["global_condition"] or {}).get("multi_label", False))

    def global_condition(self, names: Sequence[str]) -> np.ndarray:
        """What the model takes for a class of each global label, given by name; or for any
        number of classes of a label of which a recording may have several.

        Raises:
          InputError: a class that a label does not have, or too few or too many.
        """
        if self.is_multi_label:
            (label,) = self.global_labels
            indices = [self._class(label, name) for name in names]
            return np.isin(np.arange(len(self.classes[label])), indices).astype(np.int32)
        if len(names) != len(self.global_labels):
            raise InputError(
                f"The label {'+'.join(names)!r} names {len(names)} classes: name one for each of "
                f"{', '.join(self.global_labels)}, joined by +."
            )
        pairs = list(zip(self.global_labels, names, strict=True))
        indices = [self._class(label, name) for label, name in pairs]
        if len(indices) == 1:
            return np.array(indices[0], np.int32)
        one_hot = [
            np.arange(len(self.classes[label])) == index
            for (label, _), index in zip(pairs, indices, strict=True)
        ]
        return np.concatenate(one_hot).astype(np.int32)

    def named_condition(self, name: str) -> np.ndarray:
        """What the model takes for `--label` or `--speaker`: a class, or several joined by +.

        Raises:
          InputError: as `global_condition`.
        """
        # A single class may have a + in its own name, as eSpeak's voice en-us+f2.
        alone = len(self.global_labels) == 1 and name in self.classes[self.global_labels[0]]
        return self.global_condition([name] if alone else name.split("+"))

    def global_condition_of(self, corpus: data.Corpus, recording: int) -> np.ndarray | None:
        """What the model takes for the labels of a recording, None if it takes none."""
        if not self.global_labels:
            return None
        return data.global_condition(corpus, recording, self.global_labels)

    def _class(self, label: str, name: str) -> int:
        classes = self.classes[label]
        if name not in classes:
            raise InputError(f"There is no {label} {name!r}: use one of {', '.join(classes)}.")
        return classes.index(name)

    @property
    def local_features(self) -> Callable[[Mapping[str, Any]], np.ndarray] | None:
        """From a recording to its frames, if the model takes any."""
        condition = self.config["local_condition"]
        if not condition:
            return None
        features = LOCAL_FEATURES[condition["features"]]
        compute, _ = features.make(condition, self.classes, self.sample_rate_hz)
        return compute

    @property
    def phone_contexts(self) -> Callable[[Mapping[str, Any]], np.ndarray] | None:
        """From an example to what is known of each of its phones before anything is said,
        `[P, D]`, if the model's frames are made of that."""
        condition = self.config["local_condition"]
        contexts = LOCAL_FEATURES[condition["features"]].contexts if condition else None
        if not contexts:
            return None
        compute, _ = contexts(condition, self.classes)
        return compute

    @property
    def has_pitch(self) -> bool:
        """Whether the frames made of `phone_contexts` end with ln F0 and voicing (L+F)."""
        condition = self.config["local_condition"]
        return bool(condition) and LOCAL_FEATURES[condition["features"]].has_pitch

    @property
    def mel(self) -> data.MelConfig | None:
        """Of the mel spectrogram that conditions the model, if one does."""
        condition = self.config["local_condition"]
        if not condition or condition["features"] != "mel":
            return None
        return _mel_config(condition, self.sample_rate_hz)

    @property
    def generates(self) -> bool:
        """Whether the model learns to generate: always, but for a recognizer of which that is
        no part of the loss."""
        return self.model.recognizer is None or self.training.generation_weight > 0

    @property
    def is_ctc(self) -> bool:
        """Whether the model recognises sequences of phones, not knowing where they sound."""
        return self.model.recognizer is not None and self.model.recognizer.loss == "ctc"

    @property
    def phones(self) -> phones.Phones:
        """Those that are recognised.

        Raises:
          InputError: the model recognises none.
        """
        if self.model.recognizer is None:
            raise InputError(
                "The model does not recognise phones: train one that does, such as "
                "--config=experiments/configs/timit.py."
            )
        return phones.phones_of(self.config["recognizer"], self.classes["phones"])

    def decode(
        self,
        log_probs: np.ndarray,
        *,
        decoder: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> list[decoding.Segment]:
        """What is heard in the posteriors of a recording (`phones.decode`)."""
        assert self.bigram_lm is not None
        config = self.config["recognizer"]
        return phones.decode(
            log_probs,
            self.bigram_lm,
            is_ctc=self.is_ctc,
            weights=weights or config["decoding"],
            decoder=decoder,
        )

    @property
    def context_samples(self) -> int:
        """The receptive field, before what the recognizer hears before a frame, in whole
        frames."""
        hop, recognizer = self.model.hop_samples, self.model.recognizer
        reach = recognizer.context_frames * recognizer.hop_samples if recognizer else 0
        return -(-(receptive_field(self.model) + reach) // hop) * hop

    def load(self, data_dir: str | os.PathLike[str], split: str) -> data.Corpus:
        """A split of the experiment's corpus, of the same kind as it was trained on.

        Raises:
          data.DataError: there is no such corpus or split.
          InputError: its rate or its labels are others.
        """
        name = self.config["dataset"]
        corpus = data.load(name, data_dir, split, pre_emphasis=self.pre_emphasis)
        _require_rate(corpus, self.sample_rate_hz)
        for label, names in self.classes.items():
            have = list(_classes(corpus, label))
            if have != names:
                here, there = _apart(have, names)
                raise InputError(
                    f"The {corpus.name} corpus has the {label} classes {', '.join(here)}, and "
                    f"the model was made for {', '.join(there)}: use the corpus it was "
                    "trained on."
                )
        return corpus

    def recordings(self, corpus: data.Corpus) -> Iterator[dict[str, Any]]:
        """Whole recordings with the conditions that the model takes."""
        return data.recordings(
            corpus,
            global_labels=self.global_labels,
            local_features=self.local_features,
            hop_samples=self._local_hop_samples,
        )

    def windows(
        self, corpus: data.Corpus, *, shard_index: int = 0, shard_count: int = 1
    ) -> data.WindowIterator:
        """Training batches: this process's share of `batch_size` rows.

        Raises:
          InputError: the batch does not divide over the processes.
        """
        batch_size = self.config["batch_size"]
        if batch_size % shard_count:
            raise InputError(
                f"The batch of {batch_size} does not divide over {shard_count} processes: "
                "choose a batch_size that is a multiple of them."
            )
        return data.training_windows(
            corpus,
            segment_samples=self.config["segment_samples"],
            context_samples=self.context_samples,
            hop_samples=self._local_hop_samples,
            context_frames=self.model.local_condition.context_frames
            if self.model.local_condition
            else 0,
            batch_size=batch_size // shard_count,
            seed=self.training.seed,
            global_labels=self.global_labels,
            local_features=self.local_features,
            **self._recognized,
            **self._augmented,
            shard_index=shard_index,
            shard_count=shard_count,
            num_workers=self.config["num_workers"],
        )

    @property
    def _local_hop_samples(self) -> int:
        framed = self.model.local_condition or self.model.recognizer
        return framed.hop_samples if framed else 1

    @property
    def _recognized(self) -> dict[str, Any]:
        """What windows tell a recognizer."""
        if self.model.recognizer is None:
            return {}
        config, reach = self.config["recognizer"], self.model.recognizer.context_frames
        return {"targets": phones.targets(self.phones, config, reach)}

    @property
    def _augmented(self) -> dict[str, Any]:
        """What is done to windows."""
        options = dict(self.config.get("augmentation") or {})
        if not options:
            return {}
        speeds = tuple(options.pop("speeds", (1.0,)))
        return {"speeds": speeds, "augmentation": data.Augmentation(**options) if options else None}

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """A recording from its beginning, int16 `[N]`, to the model's codes `[N]`."""
        return np.asarray(self.model.quantizer.encode(self.apply_pre_emphasis(samples)))

    def apply_pre_emphasis(self, samples: np.ndarray) -> np.ndarray:
        """A recording from its beginning as the model hears it, int16 `[N]`."""
        if not self.pre_emphasis:
            return samples
        return data.pre_emphasize(np.pad(samples, (1, 0)), self.pre_emphasis)

    def decoder(self, last: int = 0) -> Callable[[np.ndarray], np.ndarray]:
        """From codes, as they are generated chunk by chunk after a sample `last`, to sound.

        Returns:
          A function from codes `[N]` to int16 `[N]`, to be called in the chunks' order.
        """
        de_emphasis = data.DeEmphasis(self.pre_emphasis, last)
        return lambda codes: de_emphasis(np.asarray(self.model.quantizer.decode_int16(codes)))

    def check_continues(self, stored: Mapping[str, Any]) -> None:
        """Refuses to resume a checkpoint of another model or other audio.

        Raises:
          InputError: with the first field that differs, and both values.
        """
        mine = self.to_dict()
        for part in ("model", "audio"):
            for field, value in stored[part].items():
                here = _as_json(mine[part][field])
                if here != value:
                    if field == "classes" and here.keys() == value.keys():
                        label = next(label for label in here if here[label] != value[label])
                        field = f"{label} {field}"
                        here, value = _apart(here[label], value[label])
                    raise InputError(
                        f"The work directory holds a run with {part} {field}={value}, and the "
                        f"config says {here}: continue it with its own config, or choose "
                        "another --workdir."
                    )


def labels_of(config: ml_collections.ConfigDict) -> list[str]:
    """The labels of a corpus, whose classes the conditions of a config need.

    Raises:
      InputError: there are no local features of that name.
    """
    labels = list(config.global_condition.labels) if config.global_condition else []
    if config.get("recognizer"):
        labels.append("phones")
    if condition := config.local_condition:
        if condition.features not in LOCAL_FEATURES:
            raise InputError(
                f"There are no local features {condition.features!r}: "
                f"use {', '.join(LOCAL_FEATURES)}."
            )
        labels += LOCAL_FEATURES[condition.features].labels
    return labels


def model_config(
    config: ml_collections.ConfigDict, classes: Mapping[str, Sequence[Any]]
) -> WaveNetConfig:
    """The model of a config file, given the classes of each of `labels_of(config)`.

    Raises:
      InputError, data.DataError: it does not fit itself.
    """
    fields = config.model.to_dict()
    if condition := config.global_condition:
        is_one = len(condition.labels) == 1 and not condition.get("multi_label", False)
        kind: Any = "labels" if is_one else "tags"
        size = sum(len(classes[label]) for label in condition.labels)
        fields["global_condition"] = dataclasses.asdict(
            ConditionConfig(kind, size, condition.channels)
        )
    if condition := config.local_condition:
        make = LOCAL_FEATURES[condition.features].make
        _, width = make(condition, classes, config.sample_rate_hz)
        fields["local_condition"] = dataclasses.asdict(
            LocalConditionConfig(
                "vectors",
                width,
                condition.channels,
                hop_samples=condition.hop_samples,
                upsampling=condition.get("upsampling", "repeat"),
                factors=tuple(condition.get("factors", ())),
            )
        )
    if recognizer := config.get("recognizer"):
        network = recognizer.to_dict()
        folded = phones.phones_of(network, classes["phones"])
        for name in ("folding", "decoding"):
            network.pop(name)
        fields["recognizer"] = network | {"num_classes": len(folded.names)}
    return from_dict(WaveNetConfig, fields, "model")


def _require_rate(corpus: data.Corpus, sample_rate_hz: int) -> None:
    if corpus.sample_rate_hz != sample_rate_hz:
        raise InputError(
            f"The {corpus.name} corpus has {corpus.sample_rate_hz} Hz, and the config is made "
            f"for {sample_rate_hz} Hz: prepare the corpus at that rate, or train with "
            f"--config.sample_rate_hz={corpus.sample_rate_hz}."
        )


def _mel_config(condition: Mapping[str, Any], sample_rate_hz: int) -> data.MelConfig:
    fields = [field.name for field in dataclasses.fields(data.MelConfig)]
    values = {name: condition[name] for name in fields if name in condition}
    values["sample_rate_hz"] = sample_rate_hz
    for name in fields:
        if name not in values:
            raise InputError(
                f"The config's local_condition has no {name}: the features 'mel' need "
                f"{', '.join(fields[1:])}."
            )
    return data.MelConfig(**values)


def _require_several(corpus: data.Corpus, condition: ml_collections.ConfigDict) -> None:
    several = bool(condition.get("multi_label", False))
    if several and len(condition.labels) > 1:
        raise InputError(
            f"The config's global_condition has several classes of each of {len(condition.labels)} "
            "labels: name one label, or set multi_label to False."
        )
    for label in condition.labels:
        if (label in corpus.multi_label) != several:
            number = "one class" if several else "several classes"
            raise InputError(
                f"A recording of {corpus.name} may have {number} of {label}: set the config's "
                f"global_condition.multi_label to {not several}."
            )


def _classes(corpus: data.Corpus, label: str) -> tuple[str, ...]:
    if label not in corpus.class_names:
        raise InputError(
            f"The {corpus.name} corpus has no label {label!r}: "
            f"it has {', '.join(corpus.class_names) or 'none'}."
        )
    return corpus.class_names[label]


def _apart(some: list[str], others: list[str]) -> tuple[list[str], list[str]]:
    """Two lists that differ, for messages: if long, a few items from where they do."""
    if max(len(some), len(others)) <= MAX_SHOWN:
        return some, others
    same = [a == b for a, b in zip(some, others, strict=False)]
    first = [*same, False].index(False)
    begins, last = ["..."] * (first > 0), first + 3
    here, there = (
        [*begins, *names[first:last], *["..."] * (len(names) > last)] for names in (some, others)
    )
    return here, there


def _as_json(value: Any) -> Any:
    """Tuples, at any depth, as the lists that JSON makes of them."""
    return json.loads(json.dumps(value))
