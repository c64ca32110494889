"""Ways to find a sound that satisfies a constraint: select among several, or chunk by chunk.

Every way begins with the utterance that ordinary sampling would draw of the same seed, so that ways
compare by pairs. Candidate n of an utterance has the n-th of its keys (`sampling.redrawn_keys`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from experiments.common.restore import TrainedModel
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.steering.constraints import Constraint
from wavenet_jax import InputError, sampling, scoring
from wavenet_jax.audio import InverseFilter


@dataclasses.dataclass(frozen=True)
class Steered:
    """What a way found.

    Attributes:
      codes: of the sound, int32 `[T]`.
      sound: int16 `[T]`, without the prime.
      score: the constraint's.
      drawn_samples: of all candidates together.
      backtracks: how often a chunk was given up.
      embeddings: with which it was drawn, float32 `[F, D]`, where a way changes them; else None.
    """

    codes: np.ndarray
    sound: np.ndarray
    score: float
    drawn_samples: int
    backtracks: int = 0
    embeddings: np.ndarray | None = None

    @property
    def holds(self) -> bool:
        """Whether the constraint does."""
        return self.score >= 0


class Drawable(Protocol):
    """What whole sounds are drawn from."""

    def whole(
        self, *, seed: int, index: int, attempts: Sequence[int], num_samples: int
    ) -> np.ndarray:
        """Candidates of utterance `index` of a seed, one for each attempt: codes `[N, T]`."""

    def sound(self, codes: np.ndarray) -> np.ndarray:
        """What codes `[T]` sound like, int16 `[T]`."""

    def bits(self, candidates: np.ndarray) -> np.ndarray:
        """Bits per sample of candidates, codes `[N, T]`: float `[N]`."""


class Source:
    """A model after a prime, from which sounds are drawn."""

    def __init__(
        self,
        trained: TrainedModel,
        *,
        prime: np.ndarray | None = None,
        condition: np.ndarray | None = None,
        drawing: Sampling = AS_IT_IS,
    ):
        """Begins utterances.

        Args:
          trained: a model without a local condition.
          prime: int16 `[P]`, a recording to continue; None to begin after silence.
          condition: the global condition of one utterance (`audio.named_condition`).
          drawing: of which the temperature, top_p, backend and precision count.

        Raises:
          InputError: the model cannot be sampled so.
        """
        model = trained.generator
        self._config, self._audio, self._params = trained.run.wavenet, model.audio, model.params
        self._condition = condition
        self._prime = np.zeros(0, np.int16) if prime is None else prime
        filtered = self._audio.apply_filter(self._prime)
        self._codes = np.asarray(self._config.quantizer.encode(filtered))
        self._branching = sampling.Branching(
            self._config,
            self._params,
            global_condition=condition,
            prime=self._codes,
            temperature=drawing.temperature,
            top_p=drawing.top_p,
            backend=drawing.backend,
            precision=drawing.precision,  # type: ignore[arg-type]
        )
        self._decoded = np.asarray(
            self._config.quantizer.decode_int16(np.arange(self._config.num_classes))
        )

    @property
    def start(self) -> sampling.Point:
        """Where the prime ends."""
        return self._branching.start

    def draw(
        self,
        point: sampling.Point,
        *,
        seed: int,
        index: int,
        attempts: Sequence[int],
        num_samples: int,
    ) -> sampling.Branches:
        """Candidates of utterance `index` of a seed from a point on, one for each attempt."""
        (key,) = sampling.utterance_keys(seed, [index])
        return self._branching.draw(point, sampling.redrawn_keys(key, attempts), num_samples)

    def whole(
        self, *, seed: int, index: int, attempts: Sequence[int], num_samples: int
    ) -> np.ndarray:
        """Candidates from the prime on, codes `[N, T]`, arguments as `draw`."""
        drawn = self.draw(
            self.start, seed=seed, index=index, attempts=attempts, num_samples=num_samples
        )
        return drawn.codes

    def sound(self, codes: np.ndarray) -> np.ndarray:
        """What codes `[T]` after the prime sound like, int16 `[T]`."""
        return InverseFilter(self._audio.filter_taps, self._prime)(self._decoded[codes])

    def bits(self, candidates: np.ndarray) -> np.ndarray:
        """Bits per sample of candidates after the prime, codes `[N, T]`: float `[N]`."""
        recordings = [
            {
                "recording": str(i),
                "samples": self._decoded[np.concatenate([self._codes, codes])],
                "global": self._condition,
            }
            for i, codes in enumerate(candidates)
        ]
        found = np.zeros(len(candidates))
        for score in scoring.score(self._config, self._params, recordings, keep_sample_bits=True):
            assert score.sample_bits is not None
            found[int(score.recording)] = score.sample_bits[len(self._codes) :].mean()
        return found


def candidates(
    source: Drawable, *, seed: int, index: int, num_candidates: int, num_samples: int
) -> np.ndarray:
    """Whole sounds of an utterance, codes `[N, T]`: the first is that of ordinary sampling.

    Raises:
      InputError: a number below 1.
    """
    check_counts(num_candidates=num_candidates)
    return source.whole(
        seed=seed, index=index, attempts=range(num_candidates), num_samples=num_samples
    )


def chosen(
    source: Drawable, constraint: Constraint, among: np.ndarray, *, bits: np.ndarray | None = None
) -> Steered:
    """The best of several candidates, codes `[N, T]`: by the constraint's score, or the one of the
    fewest `bits` `[N]`, where they are given.

    Of equally good ones the first.
    """
    sounds = [source.sound(codes) for codes in among]
    scores = [constraint.score(sound) for sound in sounds]
    best = int(np.argmax(scores) if bits is None else np.argmin(bits))
    return Steered(among[best], sounds[best], scores[best], among.size)


def chunk_by_chunk(
    source: Source,
    constraint: Constraint,
    *,
    seed: int,
    index: int,
    num_candidates: int,
    num_samples: int,
    chunk_samples: int,
    max_backtracks: int,
) -> Steered:
    """The best continuation of each chunk in turn, by the score of the sound so far.

    Where the best does not satisfy the constraint, the chunk before it is given up (the first
    chunk: itself) and drawn again from where it began, up to `max_backtracks` times; after that the
    best is taken.

    Raises:
      InputError: a number below 1, or of backtracks below 0.
    """
    check_counts(num_candidates=num_candidates, chunk_samples=chunk_samples)
    if max_backtracks < 0:
        raise InputError(f"max_backtracks is {max_backtracks}: give a number from 0 on.")
    number = -(-num_samples // chunk_samples)
    attempts, drawn_samples, backtracks = [0] * number, 0, 0
    points, parts = [source.start], [np.zeros(0, np.int32)]
    while len(points) <= number:
        at = len(points) - 1
        length = min(chunk_samples, num_samples - at * chunk_samples)
        drawn = source.draw(
            points[-1],
            seed=seed,
            index=index,
            attempts=range(attempts[at], attempts[at] + num_candidates),
            num_samples=length,
        )
        attempts[at] += num_candidates
        drawn_samples += drawn.codes.size
        so_far = [np.concatenate([*parts, codes]) for codes in drawn.codes]
        scores = [constraint.score(source.sound(codes)) for codes in so_far]
        best = int(np.argmax(scores))
        if scores[best] < 0 and backtracks < max_backtracks:
            backtracks += 1
            if at:
                points.pop()
                parts.pop()
            continue
        points.append(drawn.end(best))
        parts.append(drawn.codes[best])
    return Steered(
        so_far[best], source.sound(so_far[best]), scores[best], drawn_samples, backtracks
    )


def check_counts(**counts: int) -> None:
    """Refuses counts below 1.

    Raises:
      InputError: one is.
    """
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}: give at least 1.")
