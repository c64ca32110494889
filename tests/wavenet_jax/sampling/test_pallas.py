"""The kernels for GPU and TPU, interpreted on this machine, make the waveform of `scan`."""

import dataclasses
import functools
from typing import Any

import grid
import jax
import numpy as np
import pytest
import scipy.special
from jax.experimental.pallas import tpu as pltpu

from wavenet_jax import WaveNet, WaveNetConfig, conditioning, generate, sampling, utterance_keys
from wavenet_jax.distributions import MIN_WITHIN
from wavenet_jax.sampling import pallas

BATCH, LENGTH = 3, 40
# Frames that are longer than those of the context stack, and begin elsewhere.
CONFIGS = grid.CONFIGS | {
    "context, longer frames": dataclasses.replace(
        grid.CONFIGS["context"],
        local_condition=conditioning.LocalConditionConfig("labels", 5, 4, hop_samples=6),
    )
}
FORMS: dict[pallas.Form, Any] = {"gpu": True, "tpu": pltpu.InterpretParams()}
INTERPRETED = {form: pallas.Pallas(form, interpret) for form, interpret in FORMS.items()}
NAMES = [
    name
    for name, config in CONFIGS.items()
    if not INTERPRETED["gpu"].unsupported_reason(config, None)
]


@functools.cache
def case(name: str) -> tuple[WaveNetConfig, Any, dict]:
    config = CONFIGS[name]
    return config, grid.random_params(config), grid.conditions_for(config, BATCH, LENGTH + 30)


def generated(name: str, **kwargs: Any) -> np.ndarray:
    config, params, conditions = case(name)
    chunks = generate(
        config,
        params,
        keys=utterance_keys(7, range(BATCH)),
        num_samples=LENGTH,
        devices=jax.devices()[:1],
        **{f"{key}_condition": value for key, value in conditions.items()},
        **kwargs,
    )
    return np.concatenate(list(chunks), axis=1)


@functools.cache
def by_scan(name: str) -> np.ndarray:
    return generated(name, backend="scan")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pallas.Form:
    """The kernel of that form, run by `generate` on the CPU."""
    chosen: pallas.Form = request.param
    monkeypatch.setitem(sampling.BACKENDS, "pallas", INTERPRETED[chosen])
    return chosen


def forms_and_names() -> list[Any]:
    """Each form with each model. The TPU's, which takes long to interpret, with some; the long
    tests have the others."""
    some = {"scalar", "all", "contexts, speaker, transposed", "fftnet"}
    return [
        pytest.param(form, name, marks=pytest.mark.long)
        if name not in (some if form == "tpu" else grid.COVERING)
        else (form, name)
        for form in FORMS
        for name in NAMES
    ]


@pytest.mark.parametrize(("form", "name"), forms_and_names(), indirect=["form"])
def test_makes_what_scan_makes(name: str, form: pallas.Form) -> None:
    made = generated(name, backend="pallas", chunk_samples=24)
    config = case(name)[0]
    if config.output == "categorical":
        np.testing.assert_array_equal(made, by_scan(name))
    else:  # of narrow codes rounding may find a neighbour
        assert np.abs(made - by_scan(name)).max() <= 2
        if config.num_classes <= 4096:
            assert np.mean(made == by_scan(name)) > 0.95


@pytest.mark.long
def test_of_more_batch_items_than_a_program_has(form: pallas.Form) -> None:
    """In two programs, of which the second is not full; and more samples than the rings have."""
    config, params, _ = case("plain")
    keys, rows = utterance_keys(3, range(18)), {"num_samples": 60, "devices": jax.devices()[:1]}
    made = [
        np.concatenate(list(generate(config, params, keys=keys, backend=backend, **rows)), axis=1)
        for backend in ("scan", "pallas")
    ]
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_temperatures(temperature: float, form: pallas.Form) -> None:
    made = [
        generated("plain", backend=backend, temperature=temperature)
        for backend in ("scan", "pallas")
    ]
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.long), "context"])
def test_top_p_and_temperatures_of_samples(name: str, form: pallas.Form) -> None:
    config = case(name)[0]
    frames = grid.num_frames(config, LENGTH) if config.local_condition else LENGTH
    temperature = np.random.default_rng(0).uniform(0, 1.2, (BATCH, frames))
    made = [
        generated(name, backend=backend, temperature=temperature, top_p=0.8)
        for backend in ("scan", "pallas")
    ]
    np.testing.assert_array_equal(*made)
    assert not np.array_equal(made[0], by_scan(name))


@pytest.mark.parametrize("name", grid.each(NAMES))
@pytest.mark.parametrize(
    ("form_", "platform", "kind"), [("gpu", "cuda", "NVIDIA H100"), ("tpu", "tpu", "TPU v5 lite")]
)
def test_is_lowered_for_its_platform(
    name: str, form_: pallas.Form, platform: str, kind: str
) -> None:
    """To the language of the device's compiler, which refuses what it does not know."""
    config, params, conditions = case(name)
    top_p = 0.9 if config.output == "categorical" else 1.0
    model = WaveNet(config)
    local = conditions.get("local")
    if local is not None:
        local = conditioning.frames_covering(config.local_condition, local, 0, LENGTH)
    uniforms = sampling.uniforms(utterance_keys(7, range(BATCH)), np.int32(0), LENGTH)
    state = model.apply(
        params, BATCH, global_condition=conditions.get("global"), method="initial_state"
    )

    def chunk(params: Any, state: Any) -> Any:
        return pallas.generate_chunk(
            model,
            params,
            state,
            sampling.make_draws(uniforms, 0.7, top_p),
            sampling.ChunkConditions(conditions.get("global"), local),
            form=form_,
        )

    # jax 0.12 asks which device it lowers for, where it runs on none of that kind.
    device = jax.sharding.AbstractDevice(kind, num_cores=1, platform=form_)
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), (), abstract_device=device)):
        lowered = jax.jit(chunk).trace(params, state).lower(lowering_platforms=(platform,))
    assert "custom_call" in lowered.as_text()


def test_normal_quantile() -> None:
    probability = np.concatenate(
        [np.linspace(MIN_WITHIN, 1 - MIN_WITHIN, 4001), np.logspace(-7, -1, 1000)]
    ).astype(np.float32)
    expected = scipy.special.ndtri(probability.astype(np.float64))
    np.testing.assert_allclose(pallas._normal(probability), expected, rtol=5e-7, atol=2e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("name", grid.each(NAMES))
def test_on_a_gpu(name: str) -> None:
    devices = jax.devices("gpu")[:1]
    config, params, conditions = case(name)
    made = [
        np.concatenate(
            list(
                generate(
                    config,
                    params,
                    keys=utterance_keys(7, range(BATCH)),
                    num_samples=LENGTH,
                    devices=devices,
                    backend=backend,
                    **{f"{key}_condition": value for key, value in conditions.items()},
                )
            ),
            axis=1,
        )
        for backend in ("scan", "pallas")
    ]
    assert np.mean(made[0] == made[1]) > 0.95  # rounding differs, and a draw may with it
