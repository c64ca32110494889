"""The student's flows: the whole is the chunks, causality, and the distribution of a sample."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from students import CONFIG, LENGTH, PLAIN, TEACHER, conditions, covering, random_params

from wavenet_jax import ContextStackConfig, InputError, sampling, training
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.student.flows import Student, StudentConfig


def noise_of(batch: int = 2, length: int = LENGTH) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(batch, length)).astype(np.float32)


apply = jax.jit(Student(CONFIG).apply, static_argnames=("method", "phase"))


def whole(params: Any, noise: jax.Array) -> Any:
    labels, frames = conditions(len(noise))
    return apply(
        params,
        noise,
        global_condition=labels,
        local_condition=covering(frames, 0, noise.shape[1]),
    )


@pytest.fixture(scope="module")
def params() -> Any:
    return random_params(CONFIG)


@pytest.mark.parametrize("chunks", [(17, 3, 20), (1, 39)])
def test_chunks_are_the_whole(params: Any, chunks: tuple[int, ...]) -> None:
    noise = noise_of()
    labels, frames = conditions()
    expected = whole(params, noise)
    states: Any = Student(CONFIG).apply(params, 2, global_condition=labels, method="initial_state")
    parts = []
    for start, length in zip(itertools.accumulate((0, *chunks[:-1])), chunks, strict=True):
        part, states = apply(
            params,
            states,
            noise[:, start : start + length],
            global_condition=labels,
            local_condition=covering(frames, start, length),
            phase=start % 5,
            method="prefill",
        )
        parts.append(part)
    found = jax.tree.map(lambda *each: jnp.concatenate(each, axis=1), *parts)
    for mine, its in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


def test_a_sample_depends_on_the_noise_up_to_its_own(params: Any) -> None:
    """By gradients: of the value at t on the noise at t - R to t; of its distribution, given the
    past, not on that at t."""
    at, field = 30, CONFIG.receptive_field
    noise = jnp.asarray(noise_of(1))
    of_value = jax.grad(lambda z: whole(params, z).values[0, at])(noise)[0]
    of_mean = jax.grad(lambda z: whole(params, z).given_past.mean[0, at])(noise)[0]
    assert field == 2 * (1 + 2 * 4) < at
    for gradient, last in ((of_value, at), (of_mean, at - 1)):
        assert not gradient[last + 1 :].any()
        assert gradient[at - field : last + 1].all()
        assert not gradient[: at - field].any()


def test_the_distribution_of_a_sample_is_that_of_its_values(params: Any) -> None:
    """With other noise at t alone, x_t is mean plus scale times that noise."""
    noise, at = noise_of(1), 20
    generated = whole(params, noise)
    mean, log_scale = (np.asarray(each)[0, at] for each in generated.given_past)
    assert np.ptp(generated.given_past.log_scale) > 0.1
    for other in (-2.0, 0.0, 1.5):
        noise[0, at] = other
        value = whole(params, noise).values[0, at]
        np.testing.assert_allclose(value, mean + np.exp(log_scale) * other, rtol=1e-4, atol=1e-5)


def test_a_student_begins_as_wide_as_loud_speech() -> None:
    variables = training.init_variables(PLAIN, jax.random.key(0))
    generated: Any = Student(PLAIN).apply(variables, noise_of())
    np.testing.assert_allclose(generated.values, 0.2 * noise_of(), rtol=1e-5, atol=1e-6)


def test_generate_is_the_same_in_chunks_in_batches_and_of_arriving_frames(params: Any) -> None:
    labels, frames = conditions(3)
    arguments: dict[str, Any] = {
        "keys": sampling.utterance_keys(4, range(3)),
        "global_condition": labels,
        "local_condition": frames,
        "num_samples": LENGTH,
        "devices": jax.devices()[:1],
    }

    def generated(**others: Any) -> np.ndarray:
        chunks = sampling.generate(CONFIG, params, **(arguments | others))
        return np.concatenate(list(chunks), axis=1)

    expected = generated()
    assert expected.shape == (3, LENGTH) and expected.dtype == np.int32
    assert np.ptp(expected) > 1000
    variants = {
        "chunks": generated(chunk_samples=10),
        "frames as they arrive": generated(
            local_condition=iter([frames[:, :3], frames[:, 3:]]), chunk_samples=10
        ),
        "devices": generated(devices=jax.devices()[:2]),
    }
    for name, found in variants.items():  # the codes of values that differ by rounding
        assert np.abs(found - expected).max() <= 1, name
    alone = generated(
        keys=arguments["keys"][1:2], global_condition=labels[1:2], local_condition=frames[1:2]
    )
    assert np.abs(alone - expected[1:2]).max() <= 1


def test_temperature_is_of_the_noise(params: Any) -> None:
    labels, frames = conditions(1)
    arguments: dict[str, Any] = {
        "num_samples": LENGTH,
        "global_condition": labels,
        "local_condition": frames,
        "devices": jax.devices()[:1],
    }

    def generated(seed: int, temperature: float) -> np.ndarray:
        keys = sampling.utterance_keys(seed, [0])
        chunks = sampling.generate(CONFIG, params, keys=keys, temperature=temperature, **arguments)
        return np.concatenate(list(chunks), axis=1)

    np.testing.assert_array_equal(generated(0, 0.0), generated(1, 0.0))
    assert (generated(0, 1.0) != generated(1, 1.0)).mean() > 0.9
    silent = whole(params, jnp.zeros((1, LENGTH))).values
    code = CONFIG.teacher.distribution.code(silent)  # type: ignore[attr-defined]
    assert np.abs(generated(0, 0.0) - code).max() <= 1


def test_what_a_student_cannot(params: Any) -> None:
    labels, frames = conditions(1)
    keys = sampling.utterance_keys(0, [0])

    def generate(**others: Any) -> None:
        sampling.generate(
            CONFIG, params, keys=keys, global_condition=labels, local_condition=frames, **others
        )

    with pytest.raises(InputError, match="student, which makes sound of noise"):
        generate(prime=np.zeros((1, 5), np.int32))
    with pytest.raises(InputError, match="top_p is 0.9, and the model's output is 'gaussian'"):
        generate(top_p=0.9)
    with pytest.raises(InputError, match="scan backend does not support students: use flow"):
        generate(backend="scan")
    with pytest.raises(InputError, match="flow backend does not support models that are no stud"):
        sampling.choose(TEACHER, "flow", None)
    assert sampling.choose(CONFIG, "auto", None).name == "flow"


def test_a_config_survives_json_and_refuses_what_no_student_has() -> None:
    assert from_dict(StudentConfig, to_dict(CONFIG), "model") == CONFIG
    for field, value, message in (
        ("output", "categorical", "student's teacher.output is 'categorical'"),
        ("input", "one_hot", "student's teacher.input is 'one_hot'"),
        ("context_stacks", (ContextStackConfig(4, (1,)),), "student's teacher.context_stacks"),
    ):
        smaller = {"num_classes": 256} if field != "context_stacks" else {}
        teacher = dataclasses.replace(TEACHER, **{field: value} | smaller)
        with pytest.raises(InputError, match=message):
            dataclasses.replace(CONFIG, teacher=teacher)
    with pytest.raises(InputError, match=r"fft_sizes\[1\] is 18: give a multiple of 4"):
        dataclasses.replace(CONFIG, fft_sizes=(16, 18))
    with pytest.raises(InputError, match="num_flows is 0: give at least 1"):
        dataclasses.replace(CONFIG, num_flows=0)
