"""The variables of a model: their first values, and those that a pretrained model gives it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from wavenet_jax.autoencoder import Autoencoder, AutoencoderConfig
from wavenet_jax.config import WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.recognition.recognizer import Recognizer, RecognizerConfig
from wavenet_jax.student.flows import Student, StudentConfig
from wavenet_jax.wavenet import WaveNet

ModelConfig = WaveNetConfig | RecognizerConfig | AutoencoderConfig | StudentConfig
"""The configuration of a model that can be trained."""

_MAX_NAMED = 6
"""Names of one kind that a sentence lists."""

_AXES = {
    "global_condition": {
        "params/global_embedding/table": 0,
        "params/global_embedding/map/kernel": 0,
    },
    "local_condition": {
        "params/local_conditioning/embedding/table": 0,
        "params/local_conditioning/embedding/map/kernel": 0,
    },
    "classes": {
        "params/classifier/output/kernel": 1,
        "params/classifier/output/bias": 0,
    },
}
"""The parameters with an axis of names, and which of their axes it is."""


_TABLE, _PROJECTION = "params/global_embedding/table", "global_projection/kernel"


def init_variables(model_config: ModelConfig, key: jax.Array) -> Any:
    """The first variables of a model."""
    if isinstance(model_config, RecognizerConfig):
        frame = jnp.zeros((1, model_config.hop_samples), jnp.int32)
        return jax.jit(Recognizer(model_config).init)(key, frame, jnp.ones((1, 1), bool))
    if isinstance(model_config, AutoencoderConfig):
        hop = model_config.wavenet.hop_samples
        window = jnp.zeros((1, hop + 2 * model_config.margin_samples), jnp.int32)
        frames = jnp.ones((1, model_config.num_frames(window.shape[1])), bool)
        given = _zero_conditions(model_config.wavenet, ("global",))
        return jax.jit(Autoencoder(model_config).init)(key, window, frames, **given)
    if isinstance(model_config, StudentConfig):
        given = _zero_conditions(model_config.teacher, ("global", "local"))
        return jax.jit(Student(model_config).init)(key, jnp.zeros((1, 1)), **given)
    given = _zero_conditions(model_config, ("global", "local"))
    return jax.jit(WaveNet(model_config).init)(key, jnp.zeros((1, 1), jnp.int32), **given)


def wavenet_of(model_config: ModelConfig) -> WaveNetConfig:
    """The model, the WaveNet in a recognizer or an autoencoder, or a student's teacher."""
    if isinstance(model_config, StudentConfig):
        return model_config.teacher
    return model_config if isinstance(model_config, WaveNetConfig) else model_config.wavenet


def _zero_conditions(model_config: WaveNetConfig, names: Sequence[str]) -> dict[str, jax.Array]:
    """Conditions of one sample, by their argument's name, of those that the model takes."""
    conditions = {}
    for name in names:
        condition = getattr(model_config, f"{name}_condition")
        if condition is not None:
            shape = (1,) if name == "global" else (1, 1 + 2 * condition.context_frames)
            is_labels = condition.kind == "labels"
            conditions[f"{name}_condition"] = jnp.zeros(
                shape if is_labels else (*shape, condition.size),
                jnp.float32 if condition.kind == "vectors" else jnp.int32,
            )
    return conditions


@dataclasses.dataclass(frozen=True)
class NamedAxis:
    """What an axis of parameters has an entry for, by name, in a model and a pretrained one.

    Attributes:
      of: "global_condition" or "local_condition", whose classes, tags or columns are embedded;
        or "classes", those of a recognizer.
      names: the model's, in order.
      pretrained_names: the pretrained model's.
    """

    of: Literal["global_condition", "local_condition", "classes"]
    names: tuple[str, ...]
    pretrained_names: tuple[str, ...]

    @property
    def shared(self) -> tuple[list[int], list[int]]:
        """Indices of the names that both have: the model's, then the pretrained one's."""
        here, there = _numbered(self.names), _numbered(self.pretrained_names)
        both = [name for name in here if name in there]
        return [here[name] for name in both], [there[name] for name in both]

    @property
    def new(self) -> list[str]:
        """The names that the pretrained model does not have."""
        return [name for name in self.names if name not in self.pretrained_names]

    @property
    def lost(self) -> list[list[int]]:
        """The pretrained model's indices of each label that the model does not have."""
        kept = set(map(_label, self.names))
        return [which for label, which in self._by_label.items() if label not in kept]

    @property
    def _by_label(self) -> dict[str, list[int]]:
        labels: dict[str, list[int]] = {}
        for i, name in enumerate(self.pretrained_names):
            labels.setdefault(_label(name), []).append(i)
        return labels

    @property
    def alike(self) -> dict[str, list[int]]:
        """Of each new speaker, or other class of a global condition, of which the pretrained model
        has others, their indices there. Labels are what names have before a colon: `speaker: ann`.
        """
        if self.of != "global_condition":
            return {}
        others = self._by_label
        return {name: others[_label(name)] for name in self.new if _label(name) in others}

    @property
    def unused(self) -> list[str]:
        """The pretrained model's names that the model does not have."""
        return [name for name in self.pretrained_names if name not in self.names]

    def __str__(self) -> str:
        """Lines for the names that are new, and one for those that are not used."""
        what, lines = self.of.replace("_", " "), []
        if self.alike:
            lines.append(
                f"New in the {what} and begun as the mean of the others: {_listed([*self.alike])}."
            )
        if at_random := [name for name in self.new if name not in self.alike]:
            lines.append(f"New in the {what} and begun at random: {_listed(at_random)}.")
        if self.unused:
            lines.append(f"Not taken of the {what} there: {_listed(self.unused)}.")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Adoption:
    """The parameters that a model takes of a pretrained one, by name.

    Attributes:
      taken: of the same name and shape in both, and the same names along their axes.
      matched: those with names along an axis that differ. Of the names that both models have
        the values are the pretrained model's. A new speaker, or other class of a global condition,
        begins as the mean of the pretrained model's, and what else is new begins at random.
      reshaped: of the same name and another shape, with both shapes: this model's, then the
        pretrained one's. They begin at random.
      new: those that the pretrained model does not have. They begin at random.
      unused: those of the pretrained model that this one does not have.
    """

    taken: tuple[str, ...]
    matched: dict[str, NamedAxis]
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def means(self) -> dict[str, str]:
        """Biases that begin with what the mean of the pretrained model's speakers, or other classes
        of a global condition, adds, and its projection of them: those of a model without such a
        condition."""
        if _TABLE not in self.unused:
            return {}
        pairs = {
            name.removesuffix(_PROJECTION) + "bias": name
            for name in self.unused
            if name.endswith(_PROJECTION)
        }
        return {bias: name for bias, name in pairs.items() if bias in self.taken}

    def __str__(self) -> str:
        """One sentence for a person, and lines with the names that only one of the models has."""
        total = len(self.taken) + len(self.matched) + len(self.reshaped) + len(self.new)
        parts = [f"{len(self.taken)} of {total} parameters begin with the pretrained model's"]
        if self.matched:
            parts.append(f"matched by name: {_listed([*map(_short, self.matched)])}")
        if self.reshaped:
            shapes = {
                name: [" x ".join(map(str, shape)) for shape in pair]
                for name, pair in self.reshaped.items()
            }
            described = [
                f"{_short(name)} {here} ({there} there)" for name, (here, there) in shapes.items()
            ]
            parts.append(f"of another shape and begun at random: {_listed(described)}")
        if self.new:
            parts.append(f"new and begun at random: {_listed([*map(_short, self.new)])}")
        if self.unused:
            parts.append(f"not taken: {_listed([*map(_short, self.unused)])}")
        lines = [*filter(None, map(str, dict.fromkeys(self.matched.values())))]
        if self.means:
            lines.append("Of the global condition there its classes' mean is kept.")
        return "\n".join(["; ".join(parts) + ".", *lines])

    def begin(self, variables: Any, pretrained: Any) -> Any:
        """The first variables of a model, with the pretrained model's in place of those that it
        takes."""
        flat, other = _flat(variables), _flat(pretrained)
        flat |= {name: jnp.asarray(other[name]) for name in self.taken}
        for name, axis in self.matched.items():
            number, (here, there) = _AXES[axis.of][name], axis.shared
            values = np.moveaxis(np.array(flat[name]), number, 0)  # a view
            pretrained_values = np.moveaxis(np.asarray(other[name]), number, 0)
            values[here] = pretrained_values[there]
            for new, others in axis.alike.items():
                values[axis.names.index(new)] = pretrained_values[others].mean(axis=0)
            flat[name] = jnp.asarray(np.moveaxis(values, 0, number))
        for bias, projection in self.means.items():
            flat[bias] += np.asarray(other[_TABLE]).mean(axis=0) @ other[projection]
        return traverse_util.unflatten_dict(flat, sep="/")


def adopt(
    model_config: ModelConfig, pretrained: Any, named_axes: Sequence[NamedAxis] = ()
) -> Adoption:
    """Which parameters a model takes of a pretrained one: those of the same name and shape.

    A generator's parameters begin a recognizer, and the other way round. Along an axis with names
    (speakers, phones, columns of features) values are taken by name, in whatever order and number
    either model has them; a condition of another width whose names are not given is left out.

    Args:
      model_config: of the model.
      pretrained: variables of the other one.
      named_axes: that both models have, each with the names of both.

    Raises:
      InputError: no kernel is taken whole, or the names are not as many as the model has.
    """
    shapes = jax.eval_shape(lambda: init_variables(model_config, jax.random.key(0)))
    mine, other = (
        {name: tuple(x.shape) for name, x in _flat(tree).items()} for tree in (shapes, pretrained)
    )
    matched = {
        name: axis
        for axis in named_axes
        for name, number in _AXES[axis.of].items()
        if name in mine and name in other and _is_matched(axis, number, mine[name], other[name])
    }
    taken = tuple(name for name in mine if mine[name] == other.get(name) and name not in matched)
    reshaped = {
        name: (mine[name], other[name])
        for name in mine
        if name in other and name not in taken and name not in matched
    }
    if not any(name.endswith("/kernel") for name in taken):
        example = next((name for name in reshaped if name.endswith("/kernel")), None)
        difference = ""
        if example:
            here, there = (" x ".join(map(str, shape)) for shape in reshaped[example])
            difference = f" ({_short(example)} is {there} there and {here} here)"
        raise InputError(
            f"The pretrained model shares no kernel with this one{difference}: use one of the "
            "same channels, kernel size and number of layers."
        )
    return Adoption(
        taken=taken,
        matched=matched,
        reshaped=reshaped,
        new=tuple(name for name in mine if name not in other),
        unused=tuple(name for name in other if name not in mine),
    )


def _is_matched(
    axis: NamedAxis, number: int, mine: tuple[int, ...], other: tuple[int, ...]
) -> bool:
    """Whether a parameter of these shapes is taken in part, by the names along an axis.

    Raises:
      InputError: there are not as many names.
    """
    for shape, names in ((mine, axis.names), (other, axis.pretrained_names)):
        if shape[number] != len(names):
            raise InputError(
                f"There are {len(names)} names for the {axis.of.replace('_', ' ')} of a model that "
                f"has {shape[number]}: give one for each."
            )
    rest, other_rest = (shape[:number] + shape[number + 1 :] for shape in (mine, other))
    return axis.names != axis.pretrained_names and rest == other_rest


def _label(name: str) -> str:
    return name.partition(": ")[0] if ": " in name else ""


def _numbered(names: Sequence[str]) -> dict[tuple[str, int], int]:
    """Indices of names, of which some may be the same, by name and number among the same."""
    return {(name, names[:i].count(name)): i for i, name in enumerate(names)}


def _flat(tree: Any) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep="/")


def _short(name: str) -> str:
    return name.removeprefix("params/")


def _listed(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
