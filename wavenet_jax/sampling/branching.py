"""Continuations of one utterance, any number from each point: what backtracking needs.

The state of a point is kept, so that what follows it can be drawn again from there. With the
utterance's own key the codes are those of `generate`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.sampling import arguments, backends, randomness
from wavenet_jax.sampling.precision import Precision
from wavenet_jax.sampling.protocol import ChunkConditions, PreparedModel, make_draws

_PREFILL_SAMPLES = 4000


@dataclasses.dataclass(frozen=True)
class Point:
    """A place in an utterance to which drawing can go back.

    Attributes:
      time: samples before it, those of the prime included.
      state: of a batch of one; it is read and never changed.
    """

    time: int
    state: Any = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Branches:
    """Continuations from one point.

    Attributes:
      codes: int32 `[N, T]`.
    """

    codes: np.ndarray
    _model: PreparedModel = dataclasses.field(repr=False)
    _time: int
    _state: Any = dataclasses.field(repr=False)

    def end(self, i: int) -> Point:
        """The point after continuation i."""
        return Point(self._time, self._model.state_of(self._state, np.array([i])))


class Branching:
    """An utterance that is drawn piece by piece.

    Attributes:
      start: the point after the prime.
    """

    def __init__(
        self,
        config: WaveNetConfig,
        params: Any,
        *,
        global_condition: Any = None,
        prime: np.ndarray | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
        devices: Sequence[jax.Device] | None = None,
        backend: str = "auto",
        precision: Precision = "float32",
    ):
        """Begins an utterance.

        Args:
          config: of a model without a local condition.
          params: the model's variables.
          global_condition: of the utterance, a label, or tags or a vector `[D]`.
          prime: codes `[P]` to continue, or None to begin after silence.
          temperature, top_p, devices, backend, precision: as of `generate`.

        Raises:
          InputError: as `generate`, and for a model with a local condition.
        """
        if config.local_condition is not None:
            raise InputError(
                "The model has a local condition, and branches are drawn without one: use generate."
            )
        arguments.check_temperature(np.asarray(temperature, float), 1)
        arguments.check_top_p(config, top_p)
        prime = np.zeros((1, 0), np.int32) if prime is None else np.asarray(prime)[None]
        arguments.check_prime(config, prime, 1)
        self._global = None if global_condition is None else np.asarray(global_condition)[None]
        arguments.check_condition(config.global_condition, self._global, "global", (1,))
        chosen = backends.choose_verified(
            config, params, backend, devices, precision, 1, has_top_p=top_p < 1
        )
        self._temperature, self._top_p = temperature, top_p
        self._hop = config.hop_samples
        self._model = chosen.prepare(config, params, precision, devices)
        state = self._model.initial_state(1, self._global)
        step = -(-_PREFILL_SAMPLES // self._hop) * self._hop
        for begin in range(0, prime.shape[1], step):
            codes = prime[:, begin : begin + step]
            state = self._model.prefill(state, codes, self._conditions(1, begin))
        self.start = Point(prime.shape[1], state)

    def draw(self, point: Point, keys: jax.Array, num_samples: int) -> Branches:
        """Continues from a point, once for each key.

        Args:
          point: `start`, or the end of earlier branches.
          keys: `[N]`, such as those of `redrawn_keys`.
          num_samples: T, of each continuation.

        Raises:
          InputError: no keys, or less than one sample or more than can be counted.
        """
        arguments.check_keys(keys)
        arguments.check_counts(len(keys), num_samples, 1)
        arguments.check_length(point.time, num_samples)
        number = len(keys)
        state = self._model.state_of(point.state, np.zeros(number, int))
        uniforms = np.asarray(randomness.uniforms(keys, point.time, num_samples))
        draws = make_draws(uniforms, self._temperature, self._top_p)
        conditions = self._conditions(number, point.time)
        codes, state = self._model.generate_chunk(state, draws, conditions)
        return Branches(codes, self._model, point.time + num_samples, state)

    def _conditions(self, number: int, time: int) -> ChunkConditions:
        condition = self._global
        if condition is not None:
            condition = np.repeat(condition, number, axis=0)
        return ChunkConditions(condition, None, time % self._hop)
