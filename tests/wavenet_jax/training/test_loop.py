"""The loop: reports, checkpoints, resuming and stopping."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_training import CONFIG, FIVE_STEPS, TRAINING, make_batch, make_state

from wavenet_jax import InputError, training
from wavenet_jax.training import NonFiniteLossError, loop


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """Runs of one config share their compiled step, here as nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_parallel_step", functools.cache(loop.make_parallel_step))
        yield


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


def test_previews_are_of_states_that_are_reported_and_saved() -> None:
    """On a schedule of their own, and not of a run that is being stopped."""
    seen: list[tuple[str, int]] = []

    def on(kind: str) -> Any:
        return lambda state: seen.append((kind, int(state.step)))

    def previewed(**kwargs: Any) -> list[tuple[str, int]]:
        seen.clear()
        fit(
            make_state(),
            endless(make_batch()),
            config=FIVE_STEPS,
            checkpoint_every=2,
            on_metrics=lambda step, metrics: seen.append(("metrics", step)),
            on_checkpoint=on("checkpoint"),
            on_preview=on("preview"),
            **kwargs,
        )
        return [event for event in seen if event[0] != "metrics" or event[1] in (3, 4)]

    assert previewed(is_preview_due=lambda step: step in (3, 4)) == [
        *(("checkpoint", 2), ("metrics", 3), ("preview", 3)),
        *(("metrics", 4), ("checkpoint", 4), ("preview", 4), ("checkpoint", 5)),
    ]
    stopped = previewed(is_preview_due=lambda step: True, should_stop=lambda step: step == 3)
    assert stopped[-1] == ("checkpoint", 3)


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
    with pytest.raises(InputError, match="The batch of 6 windows does not divide over 8 devices"):
        fit(make_state(), endless(make_batch(rows=6)))
