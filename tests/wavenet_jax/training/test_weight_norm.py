"""Weight normalisation: kernels as lengths and directions."""

import dataclasses
import functools

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from toy_training import CONFIG, TRAINING, assert_trees_equal, make_batch

from wavenet_jax import InputError, RecognizerConfig, WaveNetConfig, receptive_field, training

MODELS = grid.CONFIGS | grid.RECOGNIZERS
WITH_LENGTHS = dataclasses.replace(TRAINING, weight_normalization=True)


def test_weight_normalization_changes_how_kernels_move_not_where_they_begin() -> None:
    plain, split = (training.init_state(CONFIG, config) for config in (TRAINING, WITH_LENGTHS))
    kernels = training.model_params(WITH_LENGTHS, split.params)
    assert_trees_equal(kernels, plain.params, rtol=1e-6)
    assert_trees_equal(split.ema_params, plain.params, rtol=0)
    assert "params/stack/blocks_0/kernel" in split.params["lengths"]
    assert "params/output/kernel" not in split.params["lengths"]
    # A kernel's columns are as long as told, whatever its direction's length is.
    name = "params/stack/blocks_0/kernel"
    lengths = split.params["lengths"][name]
    moved = {
        "directions": jax.tree.map(lambda x: 3 * x, split.params["directions"]),
        "lengths": split.params["lengths"] | {name: 2 * lengths},
    }
    block = training.model_params(WITH_LENGTHS, moved)["params"]["stack"]["blocks_0"]
    columns = np.sqrt(np.sum(np.square(block["kernel"]), axis=(0, 1)))
    np.testing.assert_allclose(columns, 2 * lengths, rtol=1e-5)


def test_a_step_with_weight_normalization() -> None:
    """The direction's gradient has no part along it; the average is that of the kernels."""
    step = jax.jit(functools.partial(training.train_step, CONFIG, WITH_LENGTHS, axis=None))
    state = training.init_state(CONFIG, WITH_LENGTHS)
    batch = make_batch()

    def loss(params):
        variables = training.model_params(WITH_LENGTHS, params)
        return training.losses(CONFIG, variables, batch)["bits_per_sample"]

    for _ in range(4):
        state, metrics = step(state, batch)
    gradients = jax.jit(jax.grad(loss))(state.params)["directions"]["params"]["stack"]
    direction = state.params["directions"]["params"]["stack"]["blocks_1"]["kernel"]
    gradient = gradients["blocks_1"]["kernel"]
    along = np.sum(gradient * direction, axis=(0, 1))
    sizes = np.sqrt(np.sum(gradient**2, axis=(0, 1)) * np.sum(direction**2, axis=(0, 1)))
    assert sizes.max() > 1e-3
    np.testing.assert_allclose(along, 0, atol=1e-4 * sizes.max())
    assert jax.tree.structure(state.ema_params) == jax.tree.structure(grid.random_params(CONFIG))
    assert float(metrics["bits_per_sample"]) < 8.0


def flat(tree) -> dict:
    return traverse_util.flatten_dict(tree, sep="/")


def batch_for(name: str) -> dict[str, np.ndarray]:
    """Two windows with what a model of the grid takes."""
    config = MODELS[name]
    if isinstance(config, RecognizerConfig):
        num_frames = 2 * config.window_hop_samples // config.hop_samples
        before = -(-receptive_field(config.wavenet) // config.window_hop_samples)
        context = before * config.window_hop_samples + config.context_samples
        segment = num_frames * config.hop_samples
        length = context + segment + config.context_samples
        classes = np.arange(2 * num_frames, dtype=np.int32).reshape(2, -1) % config.num_classes
        conditions = {
            "frames": np.ones((2, num_frames + 2 * config.context_frames), bool),
            "classes": classes if config.loss == "frames" else classes[:, :1],
        }
    else:
        context = -(-receptive_field(config) // config.hop_samples) * config.hop_samples
        segment = 2 * config.hop_samples
        length = context + segment
        conditions = grid.conditions_for(config, 2, length)
        if local := config.local_condition:
            margin = [(0, 0), (local.context_frames,) * 2]
            margin += [(0, 0)] * (conditions["local"].ndim - 2)
            conditions["local"] = np.pad(conditions["local"], margin)
    samples = np.random.default_rng(0).normal(0, 500, (2, length)).astype(np.int16)
    return {"samples": samples, "mask": np.ones((2, segment), bool), **conditions}


@pytest.mark.parametrize("name", grid.each(MODELS))
def test_any_model_begins_where_it_would_without(name: str) -> None:
    """Kernels that begin at zero are those of the output layers, and are not split."""
    config = MODELS[name]
    state = training.init_state(config, WITH_LENGTHS)
    assert_trees_equal(training.model_params(WITH_LENGTHS, state.params), state.ema_params, 1e-6)
    kernels = {name: x for name, x in flat(state.ema_params).items() if name.endswith("/kernel")}
    zero = {name for name, kernel in kernels.items() if not np.all(np.any(kernel, axis=0))}
    assert zero == set(kernels) & {"params/output/kernel", "params/classifier/output/kernel"}
    assert set(state.params["lengths"]) == set(kernels) - zero
    assert all(np.all(lengths > 0) for lengths in state.params["lengths"].values())


@pytest.mark.parametrize(
    "name",
    [
        "frames",
        pytest.param("ctc, context", marks=pytest.mark.long),
        "contexts, speaker, transposed",
    ],
)
def test_a_model_trains_with_weight_normalization(name: str) -> None:
    """No NaN, in a classifier or a context stack neither."""
    config = MODELS[name]
    settings = dataclasses.replace(WITH_LENGTHS, warmup_steps=0)
    step = jax.jit(functools.partial(training.train_step, config, settings, axis=None))
    state, losses = training.init_state(config, settings), []
    for _ in range(4):
        state, metrics = step(state, batch_for(name))
        losses.append(float(metrics["bits_per_sample"]))
        assert all(np.isfinite(float(value)) for value in metrics.values())
    for leaf in jax.tree.leaves((state.params, state.ema_params)):
        assert np.all(np.isfinite(leaf))
    assert losses[-1] < losses[0]


def test_a_kernel_with_columns_of_zeros_is_split_safely() -> None:
    """A pretrained one, or that of a block of one's own: it begins there, and learns."""
    config = WaveNetConfig(dilations=(1,), **grid.SMALL)
    pretrained = training.init_variables(config, jax.random.key(1))
    kernel = pretrained["params"]["head"]["kernel"]
    pretrained["params"]["head"]["kernel"] = kernel.at[:, 3:].set(0)
    state = training.init_state(config, WITH_LENGTHS, pretrained=pretrained)
    begins = training.model_params(WITH_LENGTHS, state.params)
    assert_trees_equal(begins, pretrained, rtol=1e-6)

    def loss(params):
        variables = training.model_params(WITH_LENGTHS, params)
        return jnp.sum(jnp.sin(variables["params"]["head"]["kernel"] + 0.1))

    gradients = jax.grad(loss)(state.params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))
    assert np.all(gradients["lengths"]["params/head/kernel"][3:] != 0)


@pytest.mark.parametrize("was", [False, True])
def test_a_run_resumed_with_the_other_value_is_refused(was: bool) -> None:
    """In one sentence, before a batch is taken."""
    model = WaveNetConfig(dilations=(1,), **grid.SMALL)
    stored, config = (
        dataclasses.replace(TRAINING, weight_normalization=value) for value in (was, not was)
    )
    message = (
        f"^The state was trained with weight_normalization={was}, and the config says {not was}: "
        f"resume with weight_normalization={was}, or "
    )
    with pytest.raises(InputError, match=message):
        training.fit(
            model,
            config,
            training.init_state(model, stored),
            iter([]),
            on_metrics=lambda step, metrics: None,
            checkpoint_every=1,
            on_checkpoint=lambda state: None,
        )
