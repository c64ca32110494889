"""Sound of an autoencoder, steered in its latent series (`wavenet_jax.autoencoder`) by gradients.

To move in the latent space of a trained model until what is generated has a wanted property is the
idea of Engel, Hoffman and Roberts (2018), "Latent constraints: learning to generate conditionally
from unconditional generative models", arXiv:1711.05772; here the property is a constraint of
`constraints`, which nothing has to learn. A sound x is drawn with the embeddings Z, and of the
decoder's distributions of its samples, given those before, there are

    m_t = E[x_t | x_<t, Z],      q_t = E[x_t^2 | x_<t, Z],      q_t >= m_t^2

With them in place of the samples and of their squares, the constraint becomes a differentiable loss
f (`expected_loss`), and steps of Adam lower

    f(m, q) + ANCHOR mean(U^2),      Z = Z_0 + scale U

Z_0 being the recording's own embeddings and `scale` their root mean square. A gradient is that of
single samples after those of x, and what a decoder draws with other embeddings is another x, whose
differences add up: it is drawn again after a few steps, with the same random numbers, and so on.
"""

import copy
import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import optax

from experiments.common.restore import TrainedModel
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.steering import constraints
from experiments.steering.constraints import Constraint
from experiments.steering.search import Steered, check_counts
from wavenet_jax import InputError, WaveNet, sampling, scoring
from wavenet_jax.audio import NO_FILTER, InverseFilter
from wavenet_jax.config import WaveNetConfig
from wavenet_jax.training import fusing

STEPS = 4
"""Of the gradient, between drawing a sound and drawing the next one."""

LEARNING_RATE = 0.1
"""Of Adam, in units of the embeddings' root mean square."""

ANCHOR = 0.1
"""Weight of the mean square of the change."""

SHARPNESS = 50.0
"""Of the smooth maximum over keys: it is at most ln(23) / SHARPNESS, 0.06, above the maximum."""

KEY_UNIT = 0.05
"""Difference of correlations that counts as much as the tolerance of a loudness does."""


NO_ENCODER = (
    "The model has no encoder, and --way=latent changes what one makes: train an autoencoder, such "
    "as --config=experiments/configs/notes.py."
)


class Latents:
    """A recording's embeddings, from which the decoder draws sounds.

    Attributes:
      embeddings: float32 `[F, D]`.
    """

    def __init__(
        self,
        trained: TrainedModel,
        recording: np.ndarray,
        *,
        condition: np.ndarray | None = None,
        drawing: Sampling = AS_IT_IS,
    ):
        """Encodes a recording.

        Args:
          trained: an autoencoder.
          recording: int16 `[N]`, at the model's rate.
          condition: the global condition of the sounds (`audio.named_condition`).
          drawing: of which the temperature, top_p, backend and precision count.

        Raises:
          InputError: the model has no encoder.
        """
        if trained.run.autoencoder is None:
            raise InputError(NO_ENCODER)
        self.embeddings = trained.generator.encode(recording)
        self._config, self._audio = trained.run.wavenet, trained.run.audio
        self._params, self._condition, self._drawing = trained.params, condition, drawing
        self._decoded = np.asarray(
            self._config.quantizer.decode_int16(np.arange(self._config.num_classes))
        )

    def whole(
        self, *, seed: int, index: int, attempts: Sequence[int], num_samples: int
    ) -> np.ndarray:
        """Candidates of utterance `index` of a seed, one for each attempt: codes `[N, T]`.

        Raises:
          InputError: they would be longer than the recording.
        """
        (key,) = sampling.utterance_keys(seed, [index])
        number, condition = len(attempts), self._condition
        chunks = sampling.generate(
            self._config,
            self._params,
            keys=sampling.redrawn_keys(key, attempts),
            num_samples=num_samples,
            global_condition=None if condition is None else np.stack([condition] * number),
            local_condition=np.stack([self.embeddings] * number),
            temperature=self._drawing.temperature,
            top_p=self._drawing.top_p,
            backend=self._drawing.backend,
            precision=self._drawing.precision,  # type: ignore[arg-type]
        )
        return np.concatenate([np.asarray(chunk) for chunk in chunks], axis=1)

    def sound(self, codes: np.ndarray) -> np.ndarray:
        """What codes `[T]` sound like, int16 `[T]`."""
        return InverseFilter(self._audio.filter_taps, np.zeros(0, np.int16))(self._decoded[codes])

    def bits(self, candidates: np.ndarray) -> np.ndarray:
        """Bits per sample of candidates, codes `[N, T]`, given these embeddings: float `[N]`."""
        recordings = [
            {
                "recording": str(i),
                "samples": self._decoded[codes],
                "global": self._condition,
                "local": self.embeddings,
            }
            for i, codes in enumerate(candidates)
        ]
        found = np.zeros(len(candidates))
        for score in scoring.score(self._config, self._params, recordings):
            found[int(score.recording)] = score.bits / score.num_samples
        return found

    def at(self, embeddings: np.ndarray) -> "Latents":
        """The same model with other embeddings, float32 `[F, D]`."""
        other = copy.copy(self)
        other.embeddings = embeddings
        return other

    def moved(self, change: jax.Array) -> "Latents":
        """The same model with the embeddings Z_0 + scale U, U being float32 `[F, D]`."""
        return self.at(self.embeddings + _scale(self.embeddings) * np.asarray(change))

    def require_expectations(self) -> None:
        """Refuses a model whose expected samples are not those of the sound, or not known.

        Raises:
          InputError: it filters sound, or its output is continuous.
        """
        if self._audio.filter_taps != NO_FILTER:
            raise InputError(
                "The model is of filtered sound, whose expected power is not that of the sound: "
                "give --way=latent a model without a filter, or use best."
            )
        if self._config.output != "categorical":
            raise InputError(
                f"The model's output is {self._config.output}, and what is expected of samples is "
                "computed of a categorical one: give --way=latent such a model, or use best."
            )

    def descend(
        self, constraint: Constraint, codes: np.ndarray, change: jax.Array, moments: Any = None
    ) -> tuple[jax.Array, Any, np.ndarray]:
        """`STEPS` steps of the gradient from these embeddings Z_0, given a sound.

        Args:
          constraint: a `Key` or a `Loudness`.
          codes: of the sound, `[T]`.
          change: U so far, float32 `[F, D]`; zeros at first.
          moments: of Adam, from the steps before; None at first.

        Returns:
          U and the moments after the steps, and the losses before each, float32 `[STEPS]`.

        Raises:
          InputError: the constraint is another one.
        """
        program = _descent(self._config, expected_loss(constraint))
        moments = _OPTIMIZER.init(change) if moments is None else moments
        condition = None if self._condition is None else np.asarray(self._condition)[None]
        change, moments, losses = program(
            self._params, codes[None], condition, self.embeddings, change, moments
        )
        return change, moments, np.asarray(losses)

    def compile(self, wanted: Iterable[Constraint], num_samples: int) -> None:
        """Compiles `descend` for sounds of this length, which else the first use does."""
        silence = np.full(num_samples, self._config.quantizer.silence_code, np.int32)
        for constraint in wanted:
            self.descend(constraint, silence, jnp.zeros(self.embeddings.shape))


def by_gradient(
    latents: Latents,
    constraint: Constraint,
    *,
    seed: int,
    index: int,
    num_candidates: int,
    num_samples: int,
) -> Steered:
    """The first sound that satisfies a constraint, of those drawn between steps of the gradient.

    The first of all is that of ordinary sampling. Where none of `num_candidates` does, it is the
    best of them.

    Raises:
      InputError: a number below 1, the constraint has no expected loss, or the model has no
        expectations.
    """
    check_counts(num_candidates=num_candidates)
    latents.require_expectations()
    expected_loss(constraint)
    change, moments, best = jnp.zeros(latents.embeddings.shape), None, None
    moved = latents
    for drawn in range(1, num_candidates + 1):
        (codes,) = moved.whole(seed=seed, index=index, attempts=[0], num_samples=num_samples)
        sound = latents.sound(codes)
        score = constraint.score(sound)
        if best is None or score > best.score:
            best = Steered(codes, sound, score, 0, embeddings=moved.embeddings)
        if best.holds or drawn == num_candidates:
            break
        change, moments, _ = latents.descend(constraint, codes, change, moments)
        moved = latents.moved(change)
    assert best is not None
    return dataclasses.replace(best, drawn_samples=drawn * num_samples)


_OPTIMIZER = optax.adam(LEARNING_RATE)


def _scale(embeddings: Any) -> Any:
    """Root mean square, at least a little, for Z_0 of zeros."""
    return (embeddings**2).mean() ** 0.5 + 1e-6


@functools.lru_cache(maxsize=8)
def _descent(config: WaveNetConfig, loss_of: "_Loss") -> Any:
    """The steps of `Latents.descend`."""
    fused = fusing.unsupported_reason(config, jax.default_backend()) is None
    model = WaveNet(config, fused_precision="float32" if fused else None)
    decoded = np.asarray(config.quantizer.decode_int16(np.arange(config.num_classes)))
    values = decoded.astype(np.float32) / 32768
    local = config.local_condition
    assert local is not None

    def run(params: Any, codes: Any, condition: Any, own: Any, change: Any, moments: Any) -> Any:
        last = (codes.shape[1] - 1) // local.hop_samples + local.context_frames

        def loss(change: jax.Array) -> jax.Array:
            frames = (own + _scale(own) * change)[: last + 1]
            covering = (local.context_frames, last + 1 - len(frames))
            outputs = model.apply(
                params,
                codes,
                global_condition=condition,
                local_condition=jnp.pad(frames, (covering, (0, 0)))[None],
            )
            probabilities = jax.nn.softmax(outputs[0], axis=-1)
            expected = loss_of(probabilities @ values, probabilities @ values**2)
            return expected + ANCHOR * jnp.mean(change**2)

        def step(carry: Any, _: Any) -> Any:
            change, moments = carry
            value, gradient = jax.value_and_grad(loss)(change)
            updates, moments = _OPTIMIZER.update(gradient, moments)
            return (change + updates, moments), value

        (change, moments), losses = jax.lax.scan(step, (change, moments), length=STEPS)
        return change, moments, losses

    return jax.jit(run)


# -- constraints of what is expected --------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _ExpectedKey:
    """Of `Key`: by how much its correlation is below the smooth maximum of the others', in units
    of `KEY_UNIT`, for the chroma of the expected power spectrum."""

    key: constraints.Key

    def __call__(self, means: jax.Array, squares: jax.Array) -> jax.Array:
        rate = self.key.sample_rate_hz
        window = constraints.chroma_window(rate)
        bands = librosa.filters.chroma(sr=rate, n_fft=window, tuning=0.0)
        power = expected_power(means, squares, window)
        chroma = _standardized(bands @ power)
        profiles = np.stack([constraints.profile(*key) for key in constraints.KEYS])
        correlations = _standardized(profiles) @ chroma / 12
        own = constraints.KEYS.index((self.key.tonic, self.key.mode))
        others = SHARPNESS * correlations[np.arange(len(constraints.KEYS)) != own]
        return (jax.nn.logsumexp(others) / SHARPNESS - correlations[own]) / KEY_UNIT


@dataclasses.dataclass(frozen=True)
class _ExpectedLoudness:
    """Of `Loudness`: the mean square of the deviation, over that of the tolerance. A level is of
    the mean of q in its window."""

    loudness: constraints.Loudness

    def __call__(self, means: jax.Array, squares: jax.Array) -> jax.Array:
        half = constraints.level_window(self.loudness.sample_rate_hz) // 2
        squares = jnp.pad(squares, (0, max(0, 2 * half - len(squares))))
        number = len(squares) // half
        parts = squares[: number * half].reshape(number, half).mean(axis=1)
        power = (parts[1:] + parts[:-1]) / 2
        found_db = 10 * jnp.log10(jnp.maximum(power, 10 ** (constraints.FLOOR_DB / 10)))
        contour_db = self.loudness.contour_db(half * np.arange(1, number))
        deviation = found_db - found_db.mean() - contour_db
        return jnp.mean((deviation / self.loudness.tolerance_db) ** 2)


_Loss = _ExpectedKey | _ExpectedLoudness


def expected_loss(constraint: Constraint) -> _Loss:
    """The differentiable counterpart of a constraint: a function of expected samples m and expected
    squares q, float32 `[T]`, of full scale 1.

    Raises:
      InputError: there is none.
    """
    if isinstance(constraint, constraints.Key):
        return _ExpectedKey(constraint)
    if isinstance(constraint, constraints.Loudness):
        return _ExpectedLoudness(constraint)
    raise InputError(
        "The way latent follows a gradient, and of onsets a second there is none: steer a key or "
        "a loudness, or use --way=best."
    )


def expected_power(means: jax.Array, squares: jax.Array, window: int) -> jax.Array:
    """The expected power spectrum of samples, summed over windows w that overlap by three quarters:

        sum over windows of |sum_t w_t m_t exp(-i f t)|^2 + sum_t w_t^2 (q_t - m_t^2)

    What is not expected of samples is taken as independent, and is noise at every frequency.

    Args:
      means, squares: m and q, `[T]`.
      window: its length.

    Returns:
      `[window / 2 + 1]`.
    """
    weights = librosa.filters.get_window("hann", window)
    length, hop = max(len(means), window), window // 4
    # As librosa places them: in the middle of the first is the first sample.
    at = hop * np.arange(1 + length // hop)[:, None] + np.arange(window)
    beyond = (window // 2, length - len(means) + window // 2)
    framed = jnp.pad(means, beyond)[at] * weights[None]
    noise = jnp.sum(jnp.pad(squares - means**2, beyond)[at] @ weights**2)
    return jnp.sum(jnp.abs(jnp.fft.rfft(framed)) ** 2, axis=0) + noise


def _standardized(values: Any) -> Any:
    """Of mean 0 and variance 1 along the last axis."""
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / ((centred**2).mean(axis=-1, keepdims=True) + 1e-20) ** 0.5
