"""The schema of an experiment's config: every field, its type and its default.

Recipes start from `default()`, a `ConfigDict` with every field, and set only what they change;
so every field is a flag of every recipe, such as `--config.model.dropout=0.1`. Steps and learning
rates for fine-tuning are set with `when_pretrained`. Programs turn the recipe and its flags into an
`ExperimentConfig` once, with `from_config_dict`.

Sections that configure a dataclass of the library or of `data` have its fields with its defaults,
except for the fields that the corpus or another section decides; the fields are documented
there. Nothing is declared twice.

A tuple is given as a Python literal, with or without parentheses, and names may go without
quotation marks:

    --config.model.dilations=1,2,4,8 --config.global_condition.labels=speaker,digit
    --config.model.context_stacks="({'hop_samples': 64, 'dilations': (1, 2, 4)},)"
"""

import contextlib
import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import ml_collections
from ml_collections.config_dict import FieldReference, placeholder

import data
from wavenet_jax import InputError
from wavenet_jax.audio import MAX_FILTER_ORDER
from wavenet_jax.autoencoder import AutoencoderConfig
from wavenet_jax.config import (
    MAX_CHANNELS,
    ConditionConfig,
    LocalConditionConfig,
    WaveNetConfig,
    check_max,
    check_min,
    check_share,
    check_types,
    from_dict,
)
from wavenet_jax.errors import ConfigError
from wavenet_jax.prosody.networks import ProsodyConfig
from wavenet_jax.recognition.recognizer import RecognizerConfig
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training import TrainingConfig

T = TypeVar("T")

"""Of the noise-shaping filter: a spectrum's frame has 512 samples."""


def _section(cls: type, *decided: str) -> Any:
    """A dataclass with the fields of `cls` except `decided`; None if `cls` has no default."""
    hints, fields = typing.get_type_hints(cls), []
    for field in dataclasses.fields(cls):
        if field.name not in decided:
            is_required = field.default is dataclasses.MISSING
            kind = hints[field.name] | None if is_required else hints[field.name]
            default = None if is_required else field.default
            fields.append((field.name, kind, dataclasses.field(default=default)))
    return dataclasses.make_dataclass(f"{cls.__name__}Section", fields, frozen=True)


_GlobalCondition: Any = _section(ConditionConfig, "kind", "size")
_LocalCondition: Any = _section(LocalConditionConfig, "kind", "size")
_Mel: Any = _section(data.MelConfig, "sample_rate_hz", "hop_samples")
_Student: Any = _section(StudentConfig, "teacher")
_Encoder: Any = _section(AutoencoderConfig, "wavenet")
_Recognizer: Any = _section(RecognizerConfig, "wavenet", "num_classes")
_Augmentation: Any = _section(data.Augmentation)
_Prosody: Any = _section(ProsodyConfig, "kind", "features")


@dataclasses.dataclass(frozen=True)
class GlobalCondition(_GlobalCondition):
    """The condition on labels of a whole recording.

    Attributes:
      labels: names of the corpus's labels; () for no condition.
      multi_label: whether a recording may have several classes of the label, as tags.
    """

    labels: tuple[str, ...] = ()
    multi_label: bool = False


@dataclasses.dataclass(frozen=True)
class LocalCondition(_LocalCondition, _Mel):
    """The condition along a recording; the fields of `data.MelConfig` are read for "mel" alone.

    Attributes:
      features: a name in `experiments.common.local_features`; "" for no condition.
    """

    features: str = ""


@dataclasses.dataclass(frozen=True)
class Encoder(_Encoder):
    """The encoder of an autoencoder, for the local features "encoder".

    Attributes:
      latent_channels: width of the embeddings that it makes.
    """

    latent_channels: int = 16

    def __post_init__(self):
        owner = "The encoder"
        check_min(self, owner, latent_channels=1)
        check_max(self, owner, latent_channels=MAX_CHANNELS)


@dataclasses.dataclass(frozen=True)
class Decoding:
    """The weights of `wavenet_jax.recognition.decoding`, from posteriors to phones.

    Attributes:
      prior_weight: of the phones' log priors, which are subtracted from the posteriors.
      lm_weight: of the bigram language model.
      insertion_penalty: for each phone.
    """

    prior_weight: float = 1.0
    lm_weight: float = 1.0
    insertion_penalty: float = 0.0


@dataclasses.dataclass(frozen=True)
class Recognizer(_Recognizer):
    """The recognizer of phones, for the task "recognize".

    Attributes:
      folding: which phones are one class, a name in `experiments.common.phones.FOLDINGS`.
      decoding: weights of the decoder.
    """

    folding: str = "none"
    decoding: Decoding = dataclasses.field(default_factory=Decoding)


@dataclasses.dataclass(frozen=True)
class Student(_Student):
    """The parallel student, for the task "distill"; the model is its teacher's."""


@dataclasses.dataclass(frozen=True)
class Augmentation(_Augmentation):
    """Random changes of the training windows.

    Attributes:
      speeds: factors of the speed, of which each window is given one.
    """

    speeds: tuple[float, ...] = (1.0,)


@dataclasses.dataclass(frozen=True)
class Prosody(_Prosody):
    """The networks of durations, pitch and spectra, all alike."""


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """An experiment: a corpus, a model and its training.

    Attributes:
      dataset: name of the corpus, as `experiments.prepare --dataset` has it.
      sample_rate_hz: of the corpus.
      segment_samples: scored samples of each training window.
      model: the WaveNet. Its conditions are decided by the corpus and the sections below.
      training: the optimiser. Its `num_steps` and `seed` are flags beside it
        (`--config.num_steps`, `--config.seed`).
      task: "generate" for a WaveNet, "recognize" for one with a recognizer of phones, or "distill"
        for the parallel student of one.
      pre_emphasis: coefficient of a filter of order 1 before the model, 0 for none.
      noise_shaping: strength of a filter before the model, 0 for none, 1 for one that whitens the
        sound.
      noise_shaping_order: the order of that filter.
      noise_shaping_of: what it is made from: the mean spectrum of the training recordings
        ("corpus"), or each frame of the mel spectrogram that conditions a vocoder ("frames").
      voice: the eSpeak voice whose phones the corpus has, for `experiments.speak --text`.
      global_condition: on labels of a recording.
      local_condition: along a recording.
      encoder: for the local features "encoder".
      recognizer: for the task "recognize".
      student: for the task "distill".
      augmentation: of the training windows.
      prosody: the networks of `experiments.train_prosody`.
      batch_size: windows a step, over all devices.
      num_workers: processes that read the corpus; 0 reads in threads of the program.
      train_recordings: how many of the train split, spread evenly over it; None for all.
      pretrained: folder of a run or of a model, whose parameters initialise the model; labels,
        phones and columns of features are matched by name.
      log_every: steps between lines of the history.
      checkpoint_every: steps between checkpoints, each with held-out scores.
      keep_checkpoints: how many of the newest are kept beside the best.
      best_score: the held-out score that makes the best checkpoint; by default
        "phone_error_rate" for a recognizer, "kl_per_sample" (nats of a sample, from its teacher)
        for a student and "bits_per_sample" otherwise.
      held_out_split: split of the scores and previews.
      held_out_recordings: how many of it, spread evenly over it; all, where it has fewer.
      max_spike: by how many bits the loss of a step may exceed the mean of the 100 steps before;
        a larger one is taken as a loss that is not finite. None for any.
      max_returns: how often a training whose loss is not finite, or spikes, goes back to its newest
        checkpoint, and on with the data after the batch that it happened in. After that, and with
        0 at once, the training ends.
      preview_every: seconds of training between previews, which are sound and spectrogram on the
        page `previews/index.html`, beside one at the end; 0 for none.
      preview_s: seconds of sound of each, 0 for none.
    """

    dataset: str
    sample_rate_hz: int
    segment_samples: int
    model: WaveNetConfig
    training: TrainingConfig
    task: Literal["generate", "recognize", "distill"] = "generate"
    pre_emphasis: float = 0.0
    noise_shaping: float = 0.0
    noise_shaping_order: int = 16
    noise_shaping_of: Literal["corpus", "frames"] = "corpus"
    voice: str | None = None
    global_condition: GlobalCondition = dataclasses.field(default_factory=GlobalCondition)
    local_condition: LocalCondition = dataclasses.field(default_factory=LocalCondition)
    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    recognizer: Recognizer = dataclasses.field(default_factory=Recognizer)
    student: Student = dataclasses.field(default_factory=Student)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    prosody: Prosody = dataclasses.field(default_factory=Prosody)
    batch_size: int = 8
    num_workers: int = 0
    train_recordings: int | None = None
    pretrained: str | None = None
    log_every: int = 10
    checkpoint_every: int = 200
    keep_checkpoints: int = 2
    best_score: Literal["bits_per_sample", "phone_error_rate", "kl_per_sample"] | None = None
    held_out_split: str = "validation"
    held_out_recordings: int = 10
    max_spike: float | None = None
    max_returns: int = 0
    preview_every: float = 300.0
    preview_s: float = 2.0

    def __post_init__(self):
        owner = "The config"
        check_types(self, owner)
        check_min(self, owner, sample_rate_hz=1, segment_samples=1, batch_size=1, num_workers=0)
        check_min(self, owner, log_every=1, checkpoint_every=1, keep_checkpoints=1)
        check_min(self, owner, held_out_recordings=1, noise_shaping_order=1)
        check_min(self, owner, preview_every=0, preview_s=0, max_returns=0)
        if self.max_spike is not None and not self.max_spike > 0:
            raise ConfigError(owner, "max_spike", self.max_spike, "give a number above 0, or None")
        check_share(self, owner, "pre_emphasis")
        if not 0 <= self.noise_shaping <= 1:
            remedy = "give a number from 0 for none to 1"
            raise ConfigError(owner, "noise_shaping", self.noise_shaping, remedy)
        if self.noise_shaping_order > MAX_FILTER_ORDER:
            remedy = f"give at most {MAX_FILTER_ORDER}"
            raise ConfigError(owner, "noise_shaping_order", self.noise_shaping_order, remedy)
        if self.train_recordings is not None:
            check_min(self, owner, train_recordings=1)
        for name in ("scheduled_sampling", "input_noise", "input_gain_db", "input_gaps"):
            value = getattr(self.training, name)
            if self.task == "distill" and value:
                remedy = "give 0, for a student's input is noise"
                raise ConfigError(owner, f"training.{name}", value, remedy)
        if self.best_score is not None and self.best_score not in self.scores:
            remedy = f"use one of {', '.join(self.scores)}, which this experiment measures"
            raise ConfigError(owner, "best_score", self.best_score, remedy)
        # Whatever the corpus: nobody trains for hours before these are refused.
        build(ProsodyConfig, self.prosody, "prosody", kind="pitch", features=1)
        build(data.Augmentation, self.augmentation, "augmentation")

    @property
    def generates(self) -> bool:
        """Whether the model is trained to generate: always, except for a recognizer without
        the loss of the samples."""
        return self.task != "recognize" or self.training.generation_weight > 0

    @property
    def has_previews(self) -> bool:
        """Whether the training makes previews, for which the model must generate."""
        return self.generates and self.preview_every > 0 and self.preview_s > 0

    @property
    def scores(self) -> tuple[str, ...]:
        """The held-out scores, first the one that makes the best checkpoint."""
        is_student = self.task == "distill"
        measured = {
            "phone_error_rate": self.task == "recognize",
            "bits_per_sample": self.generates and not is_student,
            "kl_per_sample": is_student,
        }
        names = [name for name, is_measured in measured.items() if is_measured]
        return tuple(sorted(names, key=lambda name: name != self.best_score))


BESIDE_THE_TRAINING = ("num_steps", "seed")
"""Fields of the training that recipes and flags have beside its section."""

_DECIDED_BY_CORPUS = {"model": ("global_condition", "local_condition")}


def default() -> ml_collections.ConfigDict:
    """Every field with its default; None, of the field's type, where there is none."""
    config = _config_dict(ExperimentConfig, "")
    for name in BESIDE_THE_TRAINING:
        config[name] = config.training.get_ref(name)
        del config.training[name]
    return config.lock()


def when_pretrained(config: ml_collections.ConfigDict, **values: Any) -> None:
    """Gives a recipe other values of the training for when it begins with a pretrained model.

    They hold while `config.pretrained` is set, and until a field is given: what a flag, a study or
    another recipe says of it holds in any case.

    Args:
      config: the recipe, with the values for when it does not.
      **values: by name, such as `num_steps` and `learning_rate`.
    """
    pretrained = config.get_ref("pretrained")
    for name, value in values.items():
        section = config if name in BESIDE_THE_TRAINING else config.training
        section[name] = FieldReference(section[name], op=_IfSet(_either, (value, [pretrained])))


class _IfSet(NamedTuple):
    """An operation as `FieldReference` takes it. Its arguments are not None, so that a reference
    to a field that may be None is in a list."""

    fn: Any
    args: tuple[Any, list[FieldReference]]


def _either(value: Any, if_set: Any, fields: list[FieldReference]) -> Any:
    return value if fields[0].get() is None else if_set


def from_config_dict(config: ml_collections.ConfigDict) -> ExperimentConfig:
    """The experiment of a recipe and its flags.

    Raises:
      InputError: a field is unknown, missing or invalid, by the name of its flag.
    """
    fields = config.to_dict()
    _check_complete(fields, default().to_dict(), "")
    fields["training"] |= {name: fields.pop(name) for name in BESIDE_THE_TRAINING}
    parsed: ExperimentConfig = _parse(ExperimentConfig, fields, "")
    return parsed


def build(cls: type[T], section: Any, path: str, **decided: Any) -> T:
    """What a section configures.

    Args:
      cls: the dataclass that the section is derived from.
      section: its fields.
      path: of the section in the config, such as "recognizer".
      **decided: the fields that the section does not have.

    Raises:
      InputError: a field is invalid, by the name of its flag.
    """
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    values = {name: getattr(section, name) for name in names if name not in decided}
    try:
        with flags_in_errors(path):
            return cls(**values, **decided)
    except data.DataError as error:  # whose message begins with the field's name
        raise InputError(f"{flag_of(path)}.{error}") from error


@contextlib.contextmanager
def flags_in_errors(path: str) -> Iterator[None]:
    """Turns a `ConfigError` of a section into an error that names the flag."""
    try:
        yield
    except ConfigError as error:
        flag = flag_of(f"{path}.{error.field}" if path else error.field)
        raise InputError(f"{flag} is {error.value!r}: {error.remedy}.") from error


def flag_of(path: str) -> str:
    """The flag of a field, such as `--config.num_steps` of "training.num_steps"."""
    path = path.replace("student.teacher.", "model.")
    section, _, name = path.rpartition(".")
    is_beside = section == "training" and name in BESIDE_THE_TRAINING
    return f"--config.{name if is_beside else path}"


def _config_dict(cls: Any, path: str) -> ml_collections.ConfigDict:
    hints = typing.get_type_hints(cls)
    config = ml_collections.ConfigDict()
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if field.name in _DECIDED_BY_CORPUS.get(path, ()):
            continue
        if dataclasses.is_dataclass(kind):
            config[field.name] = _config_dict(kind, field.name)
        elif field.default in (None, dataclasses.MISSING):
            config[field.name] = placeholder(_python_type(kind))
        else:
            config[field.name] = field.default
    return config


def _python_type(annotation: Any) -> type:
    """int of `int | None`, str of a `Literal` of strings, tuple of `tuple[int, ...]`."""
    options = [each for each in typing.get_args(annotation) if each is not type(None)]
    if type(None) in typing.get_args(annotation):
        return _python_type(options[0])
    if typing.get_origin(annotation) is Literal:
        return type(options[0])
    return typing.get_origin(annotation) or annotation


def _check_complete(fields: Any, wanted: Mapping[str, Any], path: str) -> None:
    """Refuses a config that lacks a field, of a recipe that did not start from `default`."""
    if not isinstance(fields, Mapping):
        raise InputError(
            f"{flag_of(path)} is {fields!r}: keep the section of schema.default() and set its "
            "fields."
        )
    for name, value in wanted.items():
        inner = f"{path}.{name}" if path else name
        if name not in fields:
            raise InputError(
                f"The config has no field {inner}: let get_config() start from "
                "experiments.configs.schema.default()."
            )
        if isinstance(value, Mapping):
            _check_complete(fields[name], value, inner)


def _parse(cls: Any, fields: Any, path: str) -> Any:
    """A dataclass of a section, innermost first, so that errors name the flag."""
    if not isinstance(fields, Mapping):
        raise InputError(f"{flag_of(path)} is {fields!r}: give a dict with its fields.")
    hints, values = typing.get_type_hints(cls), dict(fields)
    for field in dataclasses.fields(cls):
        if field.name not in values:
            continue
        value, kind = values[field.name], hints[field.name]
        inner = f"{path}.{field.name}" if path else field.name
        item = next(iter(typing.get_args(kind)), None)
        if dataclasses.is_dataclass(kind):
            values[field.name] = _parse(kind, value, inner)
        elif typing.get_origin(kind) is tuple and isinstance(value, tuple):
            if dataclasses.is_dataclass(item):
                stacks = [_parse(item, each, f"{inner}[{i}]") for i, each in enumerate(value)]
                values[field.name] = tuple(stacks)
            elif item is str:
                names = [name for each in value for name in str(each).split(",")]
                values[field.name] = tuple(name.strip() for name in names if name.strip())
    with flags_in_errors(path):
        return from_dict(cls, values, f"config's {path}" if path else "config")
