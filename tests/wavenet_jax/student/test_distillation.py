"""The loss of a student: its closed form, its gradients, and a distillation that resumes."""

import dataclasses
import functools
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from students import CONFIG, LENGTH, PLAIN, TEACHER, conditions, covering, random_params

from wavenet_jax import InputError, WaveNet, WaveNetConfig, training
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.config import to_dict
from wavenet_jax.distributions import Gaussian
from wavenet_jax.student import distillation
from wavenet_jax.student.flows import Student
from wavenet_jax.training import TrainingConfig, loop

student = jax.jit(Student(CONFIG).apply)
plain_student = jax.jit(Student(PLAIN).apply)
TRAINING = TrainingConfig(num_steps=6, warmup_steps=1, learning_rate=3e-3, ema_decay=0.5)


def teacher_params(config: WaveNetConfig = TEACHER) -> Any:
    """Of scales from a hundredth to 1, as those of a trained model."""
    params = grid.random_params(config)
    output = params["params"]["output"]
    output["kernel"] = output["kernel"] * jnp.asarray([[1.0, 0.2]])
    output["bias"] = jnp.asarray([0.0, -3.0])
    return params


def batch_of(context: int = 10, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    labels, frames = conditions()
    samples = 2000 * np.sin(0.3 * np.arange(LENGTH)) + random.normal(0, 100, (2, LENGTH))
    mask = np.ones((2, LENGTH - context), bool)
    mask[1, 20:] = False
    return {
        "samples": samples.astype(np.int16),
        "mask": mask,
        "global": labels,
        "local": covering(frames, 0, LENGTH),
    }


def test_the_closed_form_is_the_integral() -> None:
    for q, p in (((0.1, -2.0), (0.05, -2.5)), ((0.0, -1.0), (0.4, 0.3)), ((-0.2, 0.0),) * 2):
        student, teacher = (Gaussian(*map(jnp.float32, each)) for each in (q, p))
        found = float(distillation.divergence(student, teacher))
        scale = np.exp(q[1])
        x = np.linspace(q[0] - 10 * scale, q[0] + 10 * scale, 20001)

        def log_density(x: np.ndarray, mean: float, log_scale: float) -> np.ndarray:
            deviations = (x - mean) / np.exp(log_scale)
            return -(deviations**2) / 2 - log_scale - np.log(2 * np.pi) / 2

        of_q = log_density(x, *q)
        integral = np.trapezoid(np.exp(of_q) * (of_q - log_density(x, *p)), x)
        np.testing.assert_allclose(found, integral, rtol=1e-4, atol=1e-5)
    assert found == 0


def test_the_divergence_is_the_mean_of_what_samples_show() -> None:
    """KL(q || p) of whole recordings, by Monte Carlo: the mean of ln q(x_t) - ln p(x_t), whose x_t
    are drawn, over noise."""
    config, teacher = PLAIN, teacher_params(PLAIN.teacher)
    params = random_params(config)
    noise = jax.random.normal(jax.random.key(2), (400, 25))
    values, q = plain_student(params, noise)
    outputs = jax.jit(WaveNet(config.teacher).apply)(teacher, values[..., None])
    p = distillation.gaussian_of(config.teacher.distribution, outputs)
    drawn = -p.log_scale * 0
    for of, sign in ((q, 1), (p, -1)):
        deviations = (values - of.mean) * jnp.exp(-of.log_scale)
        drawn += sign * (-jnp.square(deviations) / 2 - of.log_scale)
    closed = distillation.divergence(q, p)
    error = jnp.std(drawn - closed) / drawn.size**0.5
    assert abs(float(jnp.mean(drawn - closed))) < 4 * float(error)
    assert jnp.std(closed) < jnp.std(drawn)


def test_loss_terms_of_a_teacher_that_draws_as_the_student() -> None:
    """A student that has not learned is white noise: so is a teacher that has not."""
    params = training.init_variables(PLAIN, jax.random.key(0))
    teacher = training.init_variables(PLAIN.teacher, jax.random.key(1))
    batch = {name: x for name, x in batch_of().items() if name in ("samples", "mask")}
    losses = jax.jit(functools.partial(distillation.losses, PLAIN))
    found = losses(params, teacher, batch, jax.random.key(0))
    np.testing.assert_allclose(found[distillation.DIVERGENCE], 0, atol=1e-4)
    np.testing.assert_allclose(found[distillation.SCALES], 0, atol=1e-6)
    counts = training.num_summands(PLAIN, batch)
    assert counts[distillation.DIVERGENCE] == batch["mask"].sum()
    assert found[distillation.SPECTRA] > counts[distillation.SPECTRA]  # louder than the recordings


def test_spectral_error_of_silence_is_one_and_of_recordings_zero() -> None:
    batch = batch_of()
    recorded = distillation._recorded(CONFIG, batch)
    assert np.abs(recorded[0]).max() == pytest.approx(0.06, abs=0.01) and not recorded[1, 20:].any()
    energy = distillation.num_summands(CONFIG, batch)[distillation.SPECTRA]
    found = sum(np.square(distillation.magnitudes(recorded, n)).sum() for n in CONFIG.fft_sizes)
    assert float(energy) == pytest.approx(found, rel=0.02)
    assert distillation._spectral_error(CONFIG, recorded, recorded) == 0
    assert 0 < distillation._spectral_error(CONFIG, 0.9 * recorded, recorded) < 0.02 * energy


def test_magnitudes_are_those_of_numpy_and_white_noise_has_its_variance() -> None:
    samples = np.random.default_rng(0).normal(0, 2, (2, 9000)).astype(np.float32)
    found = np.asarray(distillation.magnitudes(jnp.asarray(samples), 64))
    window = np.hanning(65)[:-1]
    frame = samples[1, 16 * 7 : 16 * 7 + 64] * window / np.sqrt(np.sum(window**2))
    np.testing.assert_allclose(found[1, 10], np.abs(np.fft.rfft(frame)), rtol=1e-3, atol=1e-3)
    assert np.mean(found[:, 3:-3, 1:-1] ** 2) == pytest.approx(4, rel=0.05)


def test_the_loss_and_its_gradients_are_those_of_the_equations() -> None:
    """Through the samples that the teacher is given too; every parameter has a gradient."""
    params, teacher, batch = random_params(CONFIG), teacher_params(), batch_of(context=10)
    weights, key = distillation.weights(CONFIG), jax.random.key(0)

    def loss(params: Any) -> jax.Array:
        terms = distillation.losses(CONFIG, params, teacher, batch, key)
        counts = distillation.num_summands(CONFIG, batch)
        return sum(weights[name] * terms[name] / counts[name] for name in terms)  # type: ignore

    def expected(params: Any) -> jax.Array:
        given = {"global_condition": batch["global"], "local_condition": batch["local"]}
        values, (mean, log_scale) = Student(CONFIG).apply(
            params, jax.random.normal(key, batch["samples"].shape), **given
        )
        outputs: Any = WaveNet(TEACHER).apply(teacher, values[..., None], **given)
        variance = jnp.exp(2 * outputs[..., 1])
        nats = outputs[..., 1] - log_scale
        nats += (jnp.exp(2 * log_scale) - variance + (outputs[..., 0] - mean) ** 2) / 2 / variance
        nats += 4 * (outputs[..., 1] - log_scale) ** 2
        found = jnp.sum(jnp.where(batch["mask"], nats[:, 10:], 0)) / batch["mask"].sum()
        pair = [
            jnp.where(batch["mask"], x[:, 10:], 0)
            for x in (values.clip(-1, 1), batch["samples"] / 32768)
        ]
        made, recorded = (
            jnp.concatenate([distillation.magnitudes(x, n).ravel() for n in CONFIG.fft_sizes])
            for x in pair
        )
        return found + jnp.sum((made - recorded) ** 2) / jnp.sum((recorded - 1e-4) ** 2)

    (mine, gradients), (its, others) = (
        jax.jit(jax.value_and_grad(each))(params) for each in (loss, expected)
    )
    np.testing.assert_allclose(mine, its, rtol=1e-4)
    for (path, gradient), other in zip(
        jax.tree_util.tree_leaves_with_path(gradients), jax.tree.leaves(others), strict=True
    ):
        assert np.abs(gradient).max() > 0, path
        atol = 1e-4 * np.abs(other).max()
        np.testing.assert_allclose(gradient, other, rtol=1e-3, atol=atol, err_msg=str(path))


def test_the_teacher_is_heard_up_to_the_sample_before() -> None:
    """The divergence at t has a gradient through the samples that the teacher is given."""
    config, teacher = PLAIN, teacher_params(PLAIN.teacher)
    params = random_params(config)

    def last(noise: jax.Array) -> jax.Array:
        generated: Any = Student(config).apply(params, noise)
        outputs: Any = WaveNet(config.teacher).apply(teacher, generated.values[..., None])
        p = distillation.gaussian_of(config.teacher.distribution, outputs)
        return distillation.divergence(generated.given_past, p)[0, -1]

    gradient = jax.jit(jax.grad(last))(jnp.asarray(np.random.default_rng(0).normal(size=(1, 50))))[
        0
    ]
    field = config.receptive_field + 4  # of the teacher's inputs, from the sample before
    assert (
        not gradient[-1]
        and gradient[-2]
        and gradient[-1 - field]
        and not gradient[: -1 - field].any()
    )


@pytest.fixture
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is compiled once for all calls of `fit`."""
    monkeypatch.setattr(loop, "make_parallel_step", functools.cache(loop.make_parallel_step))


def distilled(state: Any, first: int, until: int, metrics: dict[int, Any]) -> Any:
    batches = iter([batch_of(seed=step) for step in range(first, until)])
    return training.fit(
        CONFIG,
        TRAINING,
        state,
        (jax.tree.map(lambda x: np.repeat(x, 4, axis=0), each) for each in batches),
        on_metrics=lambda step, values: metrics.__setitem__(step, values),
        checkpoint_every=100,
        on_checkpoint=lambda state: None,
        should_stop=lambda step: step == until,
        teacher=teacher_params(),
    )


@pytest.mark.long
def test_a_distillation_goes_on_to_the_bit(tmp_path: Any, one_step: None) -> None:
    whole: dict[int, Any] = {}
    expected = distilled(training.init_state(CONFIG, TRAINING), 0, 6, whole)
    parts: dict[int, Any] = {}
    state = distilled(training.init_state(CONFIG, TRAINING), 0, 3, parts)
    description = {
        "model": to_dict(CONFIG),
        "training": to_dict(TRAINING),
        "audio": {},
    }
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, data_position=None, description=description)
        checkpoints.wait()
        checkpoint = checkpoints.restore()
    assert checkpoint.model_config == CONFIG
    assert checkpoint.description["model"]["type"] == "student"
    found = distilled(checkpoint.state, 3, 6, parts)
    for mine, its in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert parts == whole
    assert whole[6]["kl_per_sample"] < whole[1]["kl_per_sample"]


def test_a_student_is_not_trained_without_its_teacher() -> None:
    state = training.init_state(PLAIN, TRAINING)
    with pytest.raises(InputError, match="with the variables of its teacher"):
        training.fit(
            PLAIN,
            TRAINING,
            state,
            iter([]),
            on_metrics=lambda *_: None,
            checkpoint_every=1,
            on_checkpoint=lambda _: None,
        )
    for name in ("scheduled_sampling", "input_noise", "input_gain_db", "input_gaps"):
        with pytest.raises(InputError, match=f"{name} is 0.5: give 0: a student's input is noise"):
            training.losses(PLAIN, {}, {}, **{name: 0.5})


def test_the_divergence_of_recordings_is_that_of_the_whole(monkeypatch: Any) -> None:
    """In chunks, one recording after the other, as in one call of each."""
    monkeypatch.setattr(distillation, "_CHUNK_SAMPLES", 10)
    params, teacher = random_params(CONFIG), teacher_params()
    labels, frames = conditions()
    recordings, total = [], 0.0
    model = jax.jit(WaveNet(TEACHER).apply)
    for i, length in enumerate((40, 23)):
        recordings.append({"samples": np.zeros(length), "global": labels[i], "local": frames[i]})
        key = jax.random.fold_in(jax.random.key(0), i)
        keys = [jax.random.fold_in(key, start) for start in range(0, 40, 10)]
        noise = jnp.concatenate([jax.random.normal(key, (1, 10)) for key in keys], axis=1)
        given: dict[str, Any] = {"global_condition": labels[i : i + 1]}
        given["local_condition"] = covering(frames[i : i + 1], 0, 40)
        generated = student(params, noise, **given)
        outputs: Any = model(teacher, generated.values[..., None], **given)
        p = distillation.gaussian_of(TEACHER.distribution, outputs)
        nats, _ = distillation._compared(CONFIG, generated.given_past, p)
        total += float(nats[0, :length].sum())
    found = distillation.divergence_of_recordings(CONFIG, params, teacher, recordings)
    assert found == pytest.approx(total / 63, rel=1e-3)
    with pytest.raises(InputError, match="no recording to measure the student on"):
        distillation.divergence_of_recordings(CONFIG, params, teacher, [])


@pytest.mark.long
def test_flows_of_other_channels_than_the_fused_layers_take() -> None:
    """The teacher is then computed by them, and the flows by XLA."""
    wide: dict[str, Any] = {
        "residual_channels": 32,
        "gate_channels": 32,
        "skip_channels": 32,
        "head_channels": 32,
    }
    config = dataclasses.replace(PLAIN, teacher=dataclasses.replace(PLAIN.teacher, **wide))
    assert training.fusing.unsupported_reason(config, "cpu") is None
    assert training.fusing.supported("float32", config.flow) is None
    teacher = teacher_params(config.teacher)
    batch = {name: x for name, x in batch_of().items() if name in ("samples", "mask")}
    params = random_params(config)
    plain, fused = (
        training.losses(
            config, params, batch, key=jax.random.key(0), teacher=teacher, fused_precision=precision
        )
        for precision in (None, "float32")
    )
    for name in plain:
        np.testing.assert_allclose(plain[name], fused[name], rtol=1e-4)


def test_adoption_of_another_student() -> None:
    """A student begins with another, as any model does with one of the same shapes."""
    other = random_params(CONFIG, seed=7)
    state = training.init_state(CONFIG, TRAINING, pretrained=other)
    for mine, its in zip(jax.tree.leaves(state.params), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(mine, its)
