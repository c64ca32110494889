"""Generation: one entry point, `generate`, and one file a backend.

* `scan`: plain JAX, on any device, for any model. What the others must agree with.
* `cpu`: the whole loop over samples in one compiled function, on this machine's cores.
* `pallas`: likewise in one kernel, for GPU and TPU.
* `flow`: all samples of a chunk at once, for the parallel student of a WaveNet.

Where to look: `protocol` says what a backend is, `backends` lists them, `randomness` makes the
number from which a sample is drawn, `streaming` takes frames of a local condition as they arrive,
`branching` draws again from where an utterance was.
"""

from wavenet_jax.sampling.backends import BACKENDS, choose, supports
from wavenet_jax.sampling.branching import Branches, Branching, Point
from wavenet_jax.sampling.generate import generate
from wavenet_jax.sampling.precision import PRECISIONS, Precision
from wavenet_jax.sampling.protocol import (
    Backend,
    ChunkConditions,
    Draws,
    PreparedModel,
    make_draws,
)
from wavenet_jax.sampling.randomness import redrawn_keys, uniforms, utterance_keys

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Backend",
    "Branches",
    "Branching",
    "ChunkConditions",
    "Draws",
    "Point",
    "Precision",
    "PreparedModel",
    "choose",
    "generate",
    "make_draws",
    "redrawn_keys",
    "supports",
    "uniforms",
    "utterance_keys",
]
