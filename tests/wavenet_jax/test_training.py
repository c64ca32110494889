"""Training: the loss, the step on one device and on eight, and the loop around it."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import InputError, WaveNetConfig, mulaw, receptive_field, training
from wavenet_jax.training import NonFiniteLossError, TrainingConfig

CONFIG = grid.CONFIGS["all"]
HOP = CONFIG.hop_samples
CONTEXT = 20  # receptive field 17, in whole frames
SEGMENT = 12
TRAINING = TrainingConfig(num_steps=20, warmup_steps=4, learning_rate=1e-2, ema_decay=0.9)
FIVE_STEPS = dataclasses.replace(TRAINING, num_steps=5)


def make_batch(rows: int = 8, seed: int = 0, context: int = CONTEXT) -> dict[str, np.ndarray]:
    """Noise; the rows have unequally many scored samples, the second none."""
    random = np.random.default_rng(seed)
    scored = random.integers(1, SEGMENT + 1, rows)
    scored[1] = 0
    return {
        "samples": random.normal(0, 5000, (rows, context + SEGMENT)).astype(np.int16),
        "mask": np.arange(SEGMENT) < scored[:, None],
        **grid.conditions_for(CONFIG, rows, context + SEGMENT, seed),  # without reach
    }


def make_state(config: WaveNetConfig = CONFIG, seed: int = 0) -> training.TrainState:
    """As training begins, but for random parameters."""
    params = grid.random_params(config, seed)
    return training.TrainState(
        step=jnp.int32(0),
        params=params,
        ema_params=jax.tree.map(jnp.copy, params),
        opt_state=training.make_optimizer(TRAINING).init(params),
        key=jax.random.key_data(jax.random.key(0)),
    )


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """Runs of one config share their compiled step, here as nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_parallel_step", functools.cache(training.make_parallel_step))
        yield


@functools.cache
def loss_and_gradients() -> Any:
    def loss(params, batch):
        bits, count = training.losses(CONFIG, params, batch)["bits_per_sample"]
        return bits / count

    return jax.jit(jax.value_and_grad(loss))


def assert_trees_equal(first: Any, second: Any, rtol: float) -> None:
    def equal(path, one, other):
        size = max(float(np.abs(other).max()), 1e-6)
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * size, err_msg=name)

    jax.tree_util.tree_map_with_path(equal, first, second)


# -- the loss ---------------------------------------------------------------------


def test_the_loss_is_the_bits_of_the_scored_samples() -> None:
    """Against the logits of the whole window: masked and context samples do not count."""
    batch, params = make_batch(), make_state().params
    assert receptive_field(CONFIG) <= CONTEXT
    found = jax.jit(functools.partial(training.losses, CONFIG))(params, batch)
    bits, count = found["bits_per_sample"]
    codes = np.asarray(mulaw.encode(batch["samples"], CONFIG.num_classes))
    logits = grid.sequence_logits(CONFIG, params, codes, batch)[:, CONTEXT:].astype(float)
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    picked = np.take_along_axis(log_p, codes[:, CONTEXT:, None], axis=2)[..., 0]
    assert float(count) == batch["mask"].sum()
    assert float(bits) == pytest.approx(-picked[batch["mask"]].sum() / np.log(2), rel=1e-5)


def test_what_is_not_scored_does_not_matter() -> None:
    """Neither samples beyond the mask, nor those of the context before the field."""
    batch, params = make_batch(), make_state().params
    other = dict(batch, samples=batch["samples"].copy())
    after = np.pad(~batch["mask"], ((0, 0), (CONTEXT, 0)))
    other["samples"][after] = 12345
    other["samples"][:, : CONTEXT - receptive_field(CONFIG)] = 12345
    assert (other["samples"] != batch["samples"]).sum() > 50
    value, gradients = loss_and_gradients()(params, batch)
    other_value, other_gradients = loss_and_gradients()(params, other)
    assert float(value) == float(other_value)
    assert_trees_equal(gradients, other_gradients, rtol=1e-6)
    # What is scored does matter, and the context within the field.
    for position in (CONTEXT, CONTEXT - 1):
        changed = dict(batch, samples=batch["samples"].copy())
        changed["samples"][0, position] = 12345
        assert float(loss_and_gradients()(params, changed)[0]) != float(value)


def test_the_first_loss_is_that_of_a_uniform_guess() -> None:
    state = training.init_state(CONFIG, TRAINING)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.params))
    value, _ = loss_and_gradients()(state.params, make_batch())
    assert float(value) == pytest.approx(8.0, abs=1e-5)
    assert int(state.step) == 0


def test_the_first_state_is_a_function_of_the_seed() -> None:
    config = WaveNetConfig(dilations=(1,), **grid.SMALL)
    states = [
        training.init_state(config, dataclasses.replace(TRAINING, seed=seed)) for seed in (3, 3, 4)
    ]
    leaves = [jax.tree.leaves(state) for state in states]
    assert all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[1], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2], strict=True))


# -- the step ---------------------------------------------------------------------


def test_eight_devices_make_the_step_of_one() -> None:
    """Gradients to float32 rounding, though each device scores another number of samples."""
    assert jax.local_device_count() == 8
    config = dataclasses.replace(TRAINING, num_steps=100, clip_norm=1e9)
    batch = make_batch()
    assert len(set(batch["mask"].sum(axis=1))) > 4
    one_step = jax.jit(functools.partial(training.train_step, CONFIG, config, axis=None))
    one, one_metrics = one_step(make_state(), batch)
    eight, eight_metrics = training.make_parallel_step(CONFIG, config)(
        make_state(), training.split_over_devices(batch, 8)
    )
    value, gradients = loss_and_gradients()(make_state().params, batch)
    for state, metrics in ((one, one_metrics), (eight, eight_metrics)):
        # Sums of float32 in another order.
        assert float(metrics["bits_per_sample"]) == pytest.approx(float(value), rel=1e-5)
        # After one step from zero, Adam's first moment is a tenth of the gradient.
        first_moment = state.opt_state[1][0].mu
        of_adam = jax.tree.map(lambda m: np.asarray(m) / np.float32(0.1), first_moment)
        assert_trees_equal(of_adam, gradients, rtol=2e-5)
        assert int(state.step) == 1
    assert float(one_metrics["gradient_norm"]) == pytest.approx(
        float(eight_metrics["gradient_norm"]), rel=1e-5
    )


def test_gradients_are_clipped_and_the_norm_is_that_before() -> None:
    config = dataclasses.replace(TRAINING, clip_norm=1e-3)
    step = jax.jit(functools.partial(training.train_step, CONFIG, config, axis=None))
    state, metrics = step(make_state(), make_batch())
    moments = jax.tree.leaves(state.opt_state[1][0].mu)
    norm = np.sqrt(sum(float((leaf**2).sum()) for leaf in moments))
    assert norm == pytest.approx(1e-4, rel=1e-3)
    assert float(metrics["gradient_norm"]) > 0.01


def test_the_moving_average() -> None:
    """m <- d m + (1 - d) p with d = min(ema_decay, (1 + n) / (10 + n)) at step n = 0, 1, ..."""
    state = make_state()
    mean = jax.tree.map(np.asarray, state.params)
    first = mean
    batch = training.split_over_devices(make_batch(), 8)
    for n in range(3):
        state, _ = training.make_parallel_step(CONFIG, TRAINING)(state, batch)
        decay = min(0.9, (1 + n) / (10 + n))
        mean = jax.tree.map(
            lambda m, p, decay=decay: decay * m + (1 - decay) * np.asarray(p), mean, state.params
        )
        assert_trees_equal(state.ema_params, mean, rtol=1e-5)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), mean, first)
    assert max(jax.tree.leaves(moved)) > 1e-3
    decay_of_step = [min(0.9, (1 + n) / (10 + n)) for n in (0, 80, 10**6)]
    assert decay_of_step == [0.1, 0.9, 0.9]


def test_the_learning_rate_rises_and_falls() -> None:
    config = TrainingConfig(
        num_steps=1000, warmup_steps=100, learning_rate=1e-3, end_learning_rate=1e-5
    )
    schedule = training.learning_rate_schedule(config)
    assert float(schedule(0)) == 0.0
    assert float(schedule(50)) == pytest.approx(5e-4)
    assert float(schedule(100)) == pytest.approx(1e-3)
    assert float(schedule(550)) == pytest.approx((1e-3 + 1e-5) / 2)
    assert float(schedule(1000)) == pytest.approx(1e-5)
    falling = [float(schedule(step)) for step in range(100, 1001, 50)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(("num_steps", "warmup_steps"), [(1, 100), (5, 100), (5, 0)])
def test_short_runs_learn_too(num_steps: int, warmup_steps: int) -> None:
    schedule = training.learning_rate_schedule(
        TrainingConfig(num_steps=num_steps, warmup_steps=warmup_steps, learning_rate=1e-3)
    )
    rates = [float(schedule(step)) for step in range(num_steps)]
    assert max(rates) == pytest.approx(1e-3)


# -- the loop ---------------------------------------------------------------------


def endless(batch: dict, taken: list[int] | None = None) -> Iterator[dict]:
    while True:
        if taken is not None:
            taken.append(1)
        yield batch


def fit(state: training.TrainState, batches: Iterator[dict], **kwargs: Any) -> Any:
    """`training.fit`, and what it reported: (state, events in order)."""
    events: list[tuple[str, int]] = []
    losses = []

    def on_metrics(step: int, metrics: dict[str, float]) -> None:
        events.append(("metrics", step))
        losses.append(metrics["bits_per_sample"])

    defaults = {
        "on_metrics": on_metrics,
        "checkpoint_every": 1000,
        "on_checkpoint": lambda state: events.append(("checkpoint", int(state.step))),
    }
    config = kwargs.pop("config", TRAINING)
    state = training.fit(CONFIG, config, state, batches, **(defaults | kwargs))
    return state, events, losses


def test_a_toy_is_learned_by_heart() -> None:
    """From the uniform guess to a fraction of it, on one batch, over eight devices."""
    batch = make_batch()
    config = dataclasses.replace(TRAINING, num_steps=100, clip_norm=1e9)
    state, events, losses = fit(training.init_state(CONFIG, config), endless(batch), config=config)
    assert losses[0] == pytest.approx(8.0, abs=1e-5)
    assert losses[-1] < 2.0
    assert [step for kind, step in events if kind == "metrics"] == list(range(1, 101))
    assert int(state.step) == 100


def test_the_order_of_reports() -> None:
    """A checkpoint follows the metrics of all its steps; the data stand right after it."""
    taken: list[int] = []
    positions = []
    _, events, _ = fit(
        make_state(),
        endless(make_batch(), taken),
        config=FIVE_STEPS,
        checkpoint_every=2,
        on_checkpoint=lambda state: positions.append((int(state.step), len(taken))),
    )
    assert positions == [(2, 2), (4, 4), (5, 5)]
    assert [step for _, step in events] == [1, 2, 3, 4, 5]
    _, events, _ = fit(
        make_state(),
        endless(make_batch()),
        config=FIVE_STEPS,
        checkpoint_every=100,
        should_stop=lambda step: step == 3,
    )
    assert events == [("metrics", 1), ("metrics", 2), ("metrics", 3), ("checkpoint", 3)]


def test_the_step_is_compiled_once(caplog: pytest.LogCaptureFixture) -> None:
    """A second compilation, for a state that lies elsewhere, would double the wait."""
    config = dataclasses.replace(TRAINING, num_steps=3)
    with jax.log_compiles():
        for state in (make_state(), jax.tree.map(np.asarray, make_state())):
            fit(state, endless(make_batch()), config=config)
    compiled = [text for text in caplog.messages if text.startswith("Compiling")]
    assert len([text for text in compiled if "bool[" in text]) == 1  # the mask is the step's


def test_going_on_is_never_having_stopped() -> None:
    """To the bit: five steps are two steps and three."""
    batches = [make_batch(seed=seed) for seed in range(5)]
    config = FIVE_STEPS
    whole, _, losses = fit(make_state(), iter(batches), config=config)
    half, _, first = fit(
        make_state(), iter(batches[:2]), config=config, should_stop=lambda step: step == 2
    )
    half = jax.tree.map(np.asarray, half)  # as a checkpoint has it
    resumed, _, second = fit(half, iter(batches[2:]), config=config)
    assert first + second == losses
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)


def test_no_number_stops_the_run_and_saves_nothing() -> None:
    """With the step's number, before anything of it is reported or kept."""
    events = []
    state = make_state()
    poisoned = state.params["params"]["stack"]["blocks_1"]["kernel"].at[0, 0, 0].set(jnp.nan)
    state.params["params"]["stack"]["blocks_1"]["kernel"] = poisoned
    state = state.replace(step=jnp.int32(4))
    with pytest.raises(NonFiniteLossError, match=r"^At step 5 the bits per sample is nan: "):
        fit(
            state,
            endless(make_batch()),
            config=FIVE_STEPS,
            checkpoint_every=5,
            on_metrics=lambda step, metrics: events.append(step),
            on_checkpoint=lambda state: events.append(int(state.step)),
        )
    assert events == []


def test_a_diverging_run_stops_soon() -> None:
    """A wild learning rate: stopped by the loss of a later step, all before it reported."""
    config = dataclasses.replace(TRAINING, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(NonFiniteLossError, match=r"^At step [23] "):
        fit(make_state(), endless(make_batch()), config=config)


def test_a_batch_that_does_not_divide() -> None:
    with pytest.raises(InputError, match="The batch of 6 rows does not divide over 8 devices"):
        fit(make_state(), endless(make_batch(rows=6)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_steps": 0}, "The training's num_steps is 0: give at least 1."),
        ({"num_steps": -3}, "The training's num_steps is -3: give at least 1."),
        ({"warmup_steps": -1}, "The training's warmup_steps is -1: give at least 0."),
        ({"seed": -1}, "The training's seed is -1: give at least 0."),
        ({"learning_rate": 0.0}, "The training's learning_rate is 0.0: give a number above 0."),
        ({"learning_rate": float("nan")}, "The training's learning_rate is nan: "),
        ({"clip_norm": -1.0}, "The training's clip_norm is -1.0: give a number above 0."),
        ({"beta2": 1.0}, "The training's beta2 is 1.0: give a number from 0 up to, not incl"),
        ({"ema_decay": -0.1}, "The training's ema_decay is -0.1: give a number from 0 up to"),
    ],
    ids=str,
)
def test_bad_training_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        TrainingConfig(**({"num_steps": 10} | fields))


# -- aids -------------------------------------------------------------------------


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
        return training.losses(CONFIG, variables, batch)["bits_per_sample"][0]

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


def losses(config: WaveNetConfig, state: training.TrainState, **fields: Any) -> float:
    settings = dataclasses.replace(TRAINING, **fields)
    step = jax.jit(functools.partial(training.train_step, config, settings, axis=None))
    return float(step(state, make_batch())[1]["bits_per_sample"])


def test_dropout_is_of_training_alone_and_new_at_each_step() -> None:
    config = dataclasses.replace(CONFIG, dropout=0.5)
    state = make_state()
    without = losses(CONFIG, state)
    first = losses(config, state)
    assert first == losses(config, state) != without
    assert losses(config, dataclasses.replace(state, step=jnp.int32(1))) != first
    codes = grid.random_codes(config, 2, 30)
    conditions = grid.conditions_for(config, 2, 30)
    np.testing.assert_array_equal(
        grid.sequence_logits(config, state.params, codes, conditions),
        grid.sequence_logits(CONFIG, state.params, codes, conditions),
    )


def test_replicas_draw_their_own_dropout() -> None:
    """The same window on eight devices is not eight times the same loss."""
    config = dataclasses.replace(CONFIG, dropout=0.5)
    window = jax.tree.map(lambda x: x[:1], make_batch())

    def loss(copies: int) -> float:
        batch = jax.tree.map(lambda x: np.stack([x] * copies), window)
        step = training.make_parallel_step(config, TRAINING)
        return float(step(make_state(), batch)[1]["bits_per_sample"])

    assert loss(8) != pytest.approx(loss(1), rel=1e-4)


def test_input_noise_is_on_what_is_seen_not_on_what_is_scored() -> None:
    """A model that does not listen scores the same; one that does, does not."""
    state = make_state()
    assert losses(CONFIG, state, input_noise=0.1) != pytest.approx(losses(CONFIG, state), rel=1e-4)
    deaf = jax.tree.map(jnp.copy, state.params)
    deaf["params"]["input"]["kernel"] = 0 * deaf["params"]["input"]["kernel"]
    state = dataclasses.replace(state, params=deaf)
    # Two programs, which a compiler may round differently.
    assert losses(CONFIG, state, input_noise=0.1) == pytest.approx(losses(CONFIG, state), rel=1e-6)


def test_input_noise_is_as_strong_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """In shares of the half range, on codes that stay codes."""
    config = WaveNetConfig(dilations=(1,), **(grid.SMALL | {"num_classes": 256}))
    seen = []

    class Listener:
        def __init__(self, config):
            self.config = config

        def apply(self, params, codes, *, context, **kwargs):
            seen.append(np.asarray(codes))
            return jnp.zeros((*codes[:, context:].shape, 256))

    monkeypatch.setattr(training, "WaveNet", Listener)
    batch = {"samples": np.zeros((8, 4000), np.int16), "mask": np.ones((8, 4000), bool)}
    training.losses(config, {}, batch, input_noise=0.05, key=jax.random.key(0))
    assert np.std(seen[0]) == pytest.approx(0.05 * 128, rel=0.03)
    assert abs(np.mean(seen[0]) - 128) < 0.2
    training.losses(config, {}, batch, input_noise=5.0, key=jax.random.key(0))
    assert (seen[1].min(), seen[1].max()) == (0, 255)


def test_rematerialization_computes_layers_twice_and_gradients_alike() -> None:
    config = WaveNetConfig(dilations=(1, 2, 4, 8) * 4, **grid.SMALL)
    params = grid.random_params(config)
    batch = {
        "samples": np.random.default_rng(0).normal(0, 5000, (2, 600)).astype(np.int16),
        "mask": np.ones((2, 500), bool),
    }

    def lowered(config):
        def loss(params):
            return training.losses(config, params, batch)["bits_per_sample"][0]

        return jax.jit(jax.grad(loss)).lower(params)

    plain = lowered(config)
    anew = lowered(dataclasses.replace(config, rematerialize=True))
    assert_trees_equal(anew.compile()(params), plain.compile()(params), rtol=1e-5)
    # XLA on a CPU merges what is computed twice, so that only the program asks for it.
    computed = [program.as_text().count("stablehlo.tanh") for program in (plain, anew)]
    assert computed == [16, 32]


@pytest.mark.parametrize("name", ["contexts, speaker, transposed", "tags, linear", "transposed"])
def test_any_model_learns(name: str) -> None:
    """Ten steps on one batch score less than none; windows carry the frames' margins."""
    config = grid.CONFIGS[name]
    local = config.local_condition
    context = -(-receptive_field(config) // config.hop_samples) * config.hop_samples
    segment = 2 * config.hop_samples
    batch = {
        "samples": np.random.default_rng(0).normal(0, 500, (4, context + segment)).astype(np.int16),
        "mask": np.ones((4, segment), bool),
        **grid.conditions_for(config, 4, context + segment),
    }
    batch["local"] = np.pad(batch["local"], ((0, 0), (local.context_frames,) * 2, (0, 0)))
    step = jax.jit(functools.partial(training.train_step, config, TRAINING, axis=None))
    state = training.init_state(config, TRAINING)
    scores = []
    for _ in range(10):
        state, metrics = step(state, batch)
        scores.append(float(metrics["bits_per_sample"]))
    assert scores[-1] < scores[0] - 0.1
