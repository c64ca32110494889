"""From a config to the model that it describes, given the classes of a corpus's labels."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from experiments.common import phones
from experiments.common.local_features import LOCAL_FEATURES
from wavenet_jax import InputError
from wavenet_jax.conditioning import ConditionConfig, LocalConditionConfig
from wavenet_jax.wavenet import WaveNetConfig, config_from_dict


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
    return config_from_dict(fields)
