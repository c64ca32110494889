"""Residual blocks of research code: swapped by name, equal in all ways to run the model."""

import functools

import flax.linen as nn
import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import (
    ContextStackConfig,
    WaveNetConfig,
    generate,
    layers,
    training,
    utterance_keys,
)


class ReluBlock(layers.GatedBlock):
    """A ReLU for the tanh of equation 2."""

    def activation(self, z):
        filter_, gate = jnp.split(z, 2, axis=-1)
        return nn.relu(filter_) * nn.sigmoid(gate)


class HighwayBlock(layers.GatedBlock):
    """A learned mixture of input and output for the residual sum, with a kernel of its own."""

    def setup(self):
        super().setup()
        self.carry = nn.Dense(self.residual_channels, dtype=self.dtype)

    def transform(self, x, taps, condition):
        y, a = super().transform(x, taps, condition)
        keep = nn.sigmoid(self.carry(x))
        return keep * x + (1 - keep) * y, a


@pytest.mark.parametrize("block", [ReluBlock, pytest.param(HighwayBlock, marks=pytest.mark.long)])
@pytest.mark.parametrize("rematerialize", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_swapped_block_trains_and_generates(block, rematerialize, monkeypatch) -> None:
    """It lowers the loss, and generates what it scores: sequence = step = prefill."""
    monkeypatch.setitem(layers.BLOCKS, "mine", block)
    config = WaveNetConfig(
        dilations=(1, 2, 4),
        block="mine",
        rematerialize=rematerialize,
        context_stacks=(ContextStackConfig(6, (1, 2)),),
        **grid.SMALL,
    )
    optimizer = training.TrainingConfig(num_steps=10, learning_rate=1e-2, warmup_steps=0)
    tone = (8000 * np.sin(np.arange(60) / 5)).astype(np.int16)
    batch = {"samples": tone[None], "mask": np.ones((1, 60), bool)}
    step = jax.jit(functools.partial(training.train_step, config, optimizer, axis=None))
    state, bits = training.init_state(config, optimizer), []
    for _ in range(10):
        state, metrics = step(state, batch)
        bits.append(float(metrics["bits_per_sample"]))
    assert bits[-1] < 0.9 * bits[0]

    params = state.params
    (codes,) = generate(
        config, params, keys=utterance_keys(0, [0]), num_samples=60, temperature=0, backend="scan"
    )
    logits = grid.sequence_logits(config, params, codes, {})
    np.testing.assert_array_equal(codes, logits.argmax(axis=-1))
    stepped, _ = grid.step_logits(config, params, codes, {})
    np.testing.assert_allclose(stepped, logits, atol=1e-4)
    filled, _ = grid.prefill_logits(config, params, codes, {}, (1, 31, 28))
    np.testing.assert_allclose(filled, logits, atol=1e-4)


def test_a_swapped_block_is_another_model(monkeypatch) -> None:
    """Of the same parameters it gives other outputs."""
    monkeypatch.setitem(layers.BLOCKS, "relu", ReluBlock)
    gated = WaveNetConfig(dilations=(1, 2), **grid.SMALL)
    relu = WaveNetConfig(dilations=(1, 2), block="relu", **grid.SMALL)
    params, codes = grid.random_params(gated), grid.random_codes(gated, 1, 20)
    outputs = [grid.sequence_logits(config, params, codes, {}) for config in (gated, relu)]
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01
