"""From a config to the model that it describes, given the corpus's classes."""

import dataclasses
from collections.abc import Mapping, Sequence

from experiments.common import phones
from experiments.common.local_features import Symbols, local_features_of
from experiments.configs import schema
from experiments.configs.schema import ExperimentConfig
from wavenet_jax.autoencoder import AutoencoderConfig
from wavenet_jax.config import ConditionConfig, LocalConditionConfig, receptive_field
from wavenet_jax.recognition.recognizer import RecognizerConfig
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training import ModelConfig, wavenet_of


def labels_of(config: ExperimentConfig) -> list[str]:
    """The labels whose classes the model of a config depends on.

    Raises:
      InputError: there are no local features of the name in the config.
    """
    features = local_features_of(config.local_condition)
    needs_phones = config.task == "recognize" or (features and features.needs == "phones")
    return [*config.global_condition.labels, *["phones"] * bool(needs_phones)]


def needs_questions(config: ExperimentConfig) -> bool:
    """Whether the model of a config depends on the corpus's HTS questions."""
    features = local_features_of(config.local_condition)
    return features is not None and features.needs == "questions"


def has_encoder(config: ExperimentConfig) -> bool:
    """Whether the model of a config makes its local features itself, with an encoder."""
    features = local_features_of(config.local_condition)
    return features is not None and features.make is None


def model_config(
    config: ExperimentConfig,
    classes: Mapping[str, Sequence[str]],
    questions: Sequence[str] = (),
) -> ModelConfig:
    """The model of a config.

    Args:
      config: the experiment's.
      classes: of each of `labels_of(config)`.
      questions: of HTS, where `needs_questions(config)`.

    Raises:
      InputError, data.DataError: a field is invalid, or does not fit another.
    """
    with schema.flags_in_errors("model"):
        wavenet = dataclasses.replace(
            config.model,
            global_condition=_global_condition(config, classes),
            local_condition=_local_condition(config, symbols_of(classes, questions)),
        )
    if config.task == "recognize":
        folded = phones.phones_of(config.recognizer, classes["phones"])
        return schema.build(
            RecognizerConfig,
            config.recognizer,
            "recognizer",
            wavenet=wavenet,
            num_classes=len(folded.names),
        )
    if config.task == "distill":
        return schema.build(StudentConfig, config.student, "student", teacher=wavenet)
    if has_encoder(config):
        return schema.build(AutoencoderConfig, config.encoder, "encoder", wavenet=wavenet)
    return wavenet


def symbols_of(classes: Mapping[str, Sequence[str]], questions: Sequence[str]) -> Symbols:
    """What the local features of a corpus with these classes and questions are made of."""
    return Symbols(tuple(classes.get("phones", ())), tuple(questions))


def _global_condition(
    config: ExperimentConfig, classes: Mapping[str, Sequence[str]]
) -> ConditionConfig | None:
    condition = config.global_condition
    if not condition.labels:
        return None
    is_one_class = len(condition.labels) == 1 and not condition.multi_label
    return schema.build(
        ConditionConfig,
        condition,
        "global_condition",
        kind="labels" if is_one_class else "tags",
        size=sum(len(classes[label]) for label in condition.labels),
    )


def _local_condition(config: ExperimentConfig, symbols: Symbols) -> LocalConditionConfig | None:
    condition = config.local_condition
    features = local_features_of(condition)
    if features is None:
        return None
    if features.make is None:
        size = config.encoder.latent_channels
    else:
        size = len(features.make(condition, symbols, config.sample_rate_hz)[1])
    return schema.build(
        LocalConditionConfig, condition, "local_condition", kind="vectors", size=size
    )


def receptive_field_of(model: ModelConfig) -> int:
    """Samples, or of a student noise, before t that a model's distribution at t depends on."""
    if isinstance(model, StudentConfig):
        return model.receptive_field
    return receptive_field(wavenet_of(model))
