import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

OUTPUTS = ("categorical", "logistic_mixture", "gaussian_mixture", "gaussian")


@dataclasses.dataclass(frozen=True)
class Distribution:
    name: str
    K: int
    M: int

    @property
    def num_parameters(self):
        return {"categorical": self.K, "gaussian": 2}.get(self.name, 3 * self.M)

    def initial_bias(self):
        return np.zeros(self.num_parameters, np.float32)

    def log_prob_bits(self, p, c):
        return (
            jnp.take_along_axis(p, c[..., None], axis=-1)[..., 0] - jax.nn.logsumexp(p, axis=-1)
        ) / np.log(2)

    def sample(self, logits, uniforms, temperature=1.0):
        logits = logits / jnp.maximum(temperature, 1e-6)
        weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
        cumulative = jnp.cumsum(weights, axis=-1)
        passed = cumulative <= (uniforms[..., None] * cumulative[..., -1:])
        return jnp.minimum(jnp.sum(passed, axis=-1), logits.shape[-1] - 1).astype(jnp.int32)


def make(name, k, m):
    return Distribution(name, k, m)
