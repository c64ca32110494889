"""Generation: equal to training's own view, whatever the chunks, batch, devices and backend."""

import functools
import itertools
import re
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import InputError, WaveNet, WaveNetConfig, generate, sampling, utterance_keys
from wavenet_jax.sampling import ChunkConditions
from wavenet_jax.sampling.generate import _chunk_length

BATCH, LENGTH = 3, 50
SEED = 7
BACKENDS = [
    name
    for name in sampling.BACKENDS
    if sampling.supports(grid.CONFIGS["plain"], name, jax.devices()[:1])
]
PRECISIONS = [
    (name, precision) for name in BACKENDS for precision in sampling.BACKENDS[name].weight_dtypes
]


@functools.cache
def case(name: str) -> tuple[WaveNetConfig, Any, dict]:
    config = grid.CONFIGS[name]
    conditions = grid.conditions_for(config, BATCH, LENGTH + 30)
    return config, grid.random_params(config), conditions


def generated(
    name: str,
    backend: str = "scan",
    *,
    items: slice = slice(BATCH),
    seed: int = SEED,
    **kwargs: Any,
) -> np.ndarray:
    """LENGTH codes of some items of the batch, on one device by default."""
    config, params, conditions = case(name)
    kwargs = {"num_samples": LENGTH, "devices": jax.devices()[:1], "backend": backend} | kwargs
    chunks = generate(
        config,
        params,
        keys=utterance_keys(seed, np.arange(BATCH)[items]),
        **{f"{key}_condition": value[items] for key, value in conditions.items()},
        **kwargs,
    )
    return np.concatenate(list(chunks), axis=1)


@functools.cache
def whole(name: str) -> np.ndarray:
    return generated(name)


def require_same(codes: np.ndarray, name: str) -> None:
    """As `scan` made them at once."""
    if grid.CONFIGS[name].output == "categorical":
        np.testing.assert_array_equal(codes, whole(name))
    else:  # a code of 16 bits is so narrow that rounding may find its neighbour
        assert np.abs(codes - whole(name)).max() <= 1
        assert np.mean(codes != whole(name)) < 0.05


def uniforms(seed: int, row: int, length: int) -> np.ndarray:
    """The documented randomness: the utterance's key folded with each sample's index."""
    key = jax.random.fold_in(jax.random.key(seed), row)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(length))
    return np.asarray(jax.vmap(jax.random.uniform)(keys))


@pytest.mark.parametrize("name", grid.each(grid.CONFIGS))
def test_generation_is_what_training_scores(name: str) -> None:
    """The parallel model, shown the generated codes, draws each of them again."""
    config, params, conditions = case(name)
    codes = whole(name)
    assert codes.shape == (BATCH, LENGTH)
    assert codes.dtype == np.int32
    logits = grid.sequence_logits(config, params, codes, conditions)
    randomness = np.stack([uniforms(SEED, row, LENGTH) for row in range(BATCH)])
    again = np.asarray(config.distribution.sample(logits, randomness))
    if config.output == "categorical":
        np.testing.assert_array_equal(codes, again)
    else:  # a code of 16 bits is so narrow that rounding may find its neighbour
        assert np.abs(codes - again).max() <= 1
        assert np.mean(codes != again) < 0.05
    assert len(np.unique(codes)) > 5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", grid.each(grid.CONFIGS))
def test_backends_agree(name: str, backend: str) -> None:
    require_same(generated(name, backend), name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk_samples", [7, 1000])
def test_chunks_do_not_matter(chunk_samples: int, backend: str) -> None:
    """Of lengths that divide neither the whole nor a frame."""
    require_same(generated("all", backend, chunk_samples=chunk_samples), "all")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["context", "contexts, speaker, transposed", "transposed"])
def test_chunks_of_frames_do_not_matter(name: str, backend: str) -> None:
    require_same(generated(name, backend, chunk_samples=7), name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["all", "transposed", "tags, linear", "phones"])
@pytest.mark.parametrize("sizes", [(1,), (3, 1), (100,)])
def test_conditions_may_arrive_in_chunks(name: str, backend: str, sizes: tuple[int, ...]) -> None:
    """Of any size, with or without a length asked for: the same waveform, to the bit."""
    config, params, conditions = case(name)
    frames = conditions["local"][:, : grid.num_frames(config, LENGTH)]

    def arriving():
        begin = 0
        for size in itertools.cycle(sizes):
            if begin >= frames.shape[1]:
                return
            yield frames[:, begin : begin + size]
            begin += size

    def run(local_condition, **kwargs):
        chunks = generate(
            config,
            params,
            keys=utterance_keys(SEED, range(BATCH)),
            global_condition=conditions.get("global"),
            local_condition=local_condition,
            chunk_samples=12,
            devices=jax.devices()[:1],
            backend=backend,
            **kwargs,
        )
        return np.concatenate(list(chunks), axis=1)

    as_arrived = run(arriving())
    assert as_arrived.shape[1] == frames.shape[1] * config.local_condition.hop_samples
    np.testing.assert_array_equal(as_arrived, run(frames))
    np.testing.assert_array_equal(run(arriving(), num_samples=LENGTH), as_arrived[:, :LENGTH])


def test_a_chunk_waits_for_no_more_frames_than_it_needs() -> None:
    config, params, conditions = case("transposed")
    local, asked = config.local_condition, []

    def arriving():
        for k in range(100):
            asked.append(k)
            yield conditions["local"][:, :1]

    chunks = generate(
        config,
        params,
        keys=utterance_keys(SEED, range(BATCH)),
        local_condition=arriving(),
        chunk_samples=2 * local.hop_samples,
        devices=jax.devices()[:1],
    )
    assert next(chunks).shape == (BATCH, 2 * local.hop_samples)
    assert len(asked) == 2 + local.context_frames


def test_frames_that_end_too_soon_are_refused() -> None:
    config, params, conditions = case("all")
    few = iter([conditions["local"][:, :5]])
    kwargs = {"keys": utterance_keys(0, range(BATCH)), "global_condition": conditions["global"]}
    chunks = generate(
        config, params, local_condition=few, num_samples=40, chunk_samples=8, **kwargs
    )
    with pytest.raises(InputError, match="has 5 frames of 4 samples, too few for 40 samples"):
        list(chunks)
    with pytest.raises(InputError, match="There is no number of samples to generate"):
        generate(grid.CONFIGS["plain"], params, keys=kwargs["keys"])


def test_chunks_are_as_short_as_asked() -> None:
    """They come one by one, never longer than asked for but to fill a frame."""
    config, params, conditions = case("all")
    chunks = generate(
        config,
        params,
        keys=utterance_keys(SEED, np.arange(BATCH)),
        num_samples=LENGTH,
        chunk_samples=7,
        devices=jax.devices()[:1],
        **{f"{key}_condition": value for key, value in conditions.items()},
    )
    assert [chunk.shape[1] for chunk in chunks] == [8, 8, 8, 8, 8, 8, 2]


def test_utterances_of_any_length_are_made_of_few_lengths_of_chunks() -> None:
    """Each is a program to compile; and little is made for nothing."""
    lengths = range(1, 40_000, 7)
    chunks = [_chunk_length(4000, length) for length in lengths]
    assert max(chunks) == 4000
    assert len({chunk for chunk in chunks if chunk > 1000}) <= 17
    for length, chunk in zip(lengths, chunks, strict=True):
        number = -(-length // chunk)
        assert number == -(-length // 4000)
        assert number * chunk <= 1.125 * length + number


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["phones", "context"])
def test_parts_of_chunks_are_the_chunks(name: str, backend: str) -> None:
    """For who listens meanwhile: to the bit, and in parts where the backend can."""
    config, params, conditions = case(name)
    wanted = generated(name, backend, chunk_samples=20)
    chunks = list(
        generate(
            config,
            params,
            keys=utterance_keys(SEED, range(BATCH)),
            **{f"{key}_condition": value for key, value in conditions.items()},
            num_samples=LENGTH,
            devices=jax.devices()[:1],
            backend=backend,
            chunk_samples=20,
            part_samples=7,
        )
    )
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), wanted)
    longest = max(codes.shape[1] for codes in chunks)
    assert (longest == 7) == (backend == "cpu")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_gives_what_each_item_gives_alone(backend: str) -> None:
    for item in range(BATCH):
        alone = generated("all", backend, items=slice(item, item + 1))
        np.testing.assert_array_equal(alone[0], whole("all")[item])


def test_eight_devices_give_what_one_gives() -> None:
    """Three rows over eight devices, and ten rows, which do not divide over them."""
    assert len(jax.devices()) == 8
    np.testing.assert_array_equal(generated("all", devices=None), whole("all"))
    config, params, _ = case("plain")
    keys = utterance_keys(SEED, np.arange(10))
    chunks = generate(config, params, keys=keys, num_samples=LENGTH, backend="scan")
    ten = np.concatenate(list(chunks), axis=1)
    assert ten.shape == (10, LENGTH)
    np.testing.assert_array_equal(ten[:BATCH], whole("plain"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "primed", "chunk_samples"),
    [
        ("plain", 11, 4000),
        ("scalar", 10, 4),
        ("all", 30, 8),
        ("context", 10, 9),
        ("transposed", 11, 12),
        ("tags, linear", 7, 4000),
    ],
)
def test_a_prime_is_continued(name: str, primed: int, chunk_samples: int, backend: str) -> None:
    """Primed with its own beginning, generation goes on as if never interrupted."""
    continued = generated(
        name,
        backend,
        prime=whole(name)[:, :primed],
        num_samples=LENGTH - primed,
        chunk_samples=chunk_samples,
    )
    np.testing.assert_array_equal(continued, whole(name)[:, primed:])


@pytest.mark.parametrize("primed", [0, 11])
def test_more_samples_than_can_be_counted_are_refused(primed: int) -> None:
    """At the call; of frames that arrive, before the chunk that would pass the limit."""
    keys, limit = utterance_keys(0, range(BATCH)), 2**31 - 1
    prime = np.zeros((BATCH, primed), np.int32)
    config, params, _ = case("plain")
    most = limit - primed
    generate(config, params, keys=keys, num_samples=most, prime=prime)
    with pytest.raises(InputError, match="has 2147483648 samples, its prime included: give at m"):
        generate(config, params, keys=keys, num_samples=most + 1, prime=prime)


def test_arriving_frames_are_refused_before_they_pass_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling.arguments, "MAX_SAMPLES", 40)
    config, params, conditions = case("phones")
    local = conditions["local"]
    chunks = generate(
        config,
        params,
        keys=utterance_keys(0, range(BATCH)),
        local_condition=(local[:, i : i + 1] for i in range(local.shape[1])),
        chunk_samples=9,
        devices=jax.devices()[:1],
    )
    assert sum(next(chunks).shape[1] for _ in range(4)) == 36
    with pytest.raises(InputError, match="The utterance has 45 samples, its prime included"):
        next(chunks)


def test_keys_and_seeds_are_different_utterances() -> None:
    """All rows of all seeds differ, and the same seed is the same again."""
    rows = [*whole("plain"), *generated("plain", seed=8)]
    for first, second in itertools.combinations(rows, 2):
        assert np.mean(first != second) > 0.3
    np.testing.assert_array_equal(generated("plain"), whole("plain"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_temperature_zero_is_the_likeliest(backend: str) -> None:
    config, params, _ = case("plain")
    codes = generated("plain", backend, temperature=0.0)
    logits = grid.sequence_logits(config, params, codes, {})
    np.testing.assert_array_equal(codes, logits.argmax(axis=-1))
    np.testing.assert_array_equal(codes, generated("plain", backend, temperature=0.0, seed=8))


def test_backends_agree_at_other_temperatures() -> None:
    assert len(BACKENDS) > 1
    first, *others = [generated("plain", backend, temperature=0.6) for backend in BACKENDS]
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("length", [1, 3, 7])
def test_extending_a_state_is_appending_each_sample(length: int) -> None:
    config, params, conditions = case("contexts, speaker, transposed")
    codes = np.random.default_rng(0).integers(0, 256, (5 + length, BATCH)).astype(np.int32)
    state: Any = WaveNet(config).apply(
        params, BATCH, global_condition=conditions["global"], method="initial_state"
    )
    for sample in codes[:5]:
        state = state.append(sample)
    appended = state
    for sample in codes[5:]:
        appended = appended.append(sample)
    jax.tree.map(np.testing.assert_array_equal, state.extend(codes[5:]), appended)


@pytest.mark.parametrize(("backend", "precision"), PRECISIONS)
def test_precisions_are_those_of_rounded_weights(backend: str, precision: str) -> None:
    """What a backend makes at a precision, `scan` makes in float32 of the rounded weights."""
    config, params, conditions = case("speaker")
    codes = generated("speaker", backend, precision=precision)
    rounded = sampling.precision.quantize_weights(params, precision)
    chunks = generate(
        config,
        rounded,
        keys=utterance_keys(SEED, range(BATCH)),
        num_samples=LENGTH,
        global_condition=conditions["global"],
        backend="scan",
    )
    np.testing.assert_array_equal(codes, np.concatenate(list(chunks), axis=1))


# -- temperatures and top-p -------------------------------------------------------


def frame_temperatures(name: str, seed: int = 0) -> np.ndarray:
    """One for each frame of a case's local condition, or each sample, some of them 0."""
    config = grid.CONFIGS[name]
    frames = grid.num_frames(config, LENGTH) if config.local_condition else LENGTH
    random = np.random.default_rng(seed)
    temperature = random.uniform(0.3, 1.2, (BATCH, frames))
    return np.where(random.random((BATCH, frames)) < 0.3, 0, temperature)


OPTIONS: dict[str, Any] = {
    "top_p": {"top_p": 0.6},
    "top_p and temperature": {"top_p": 0.9, "temperature": 0.7},
    "temperatures": {},
    "top_p and temperatures": {"top_p": 0.8},
}


@functools.cache
def with_options(name: str, options: str, backend: str = "scan", **kwargs: Any) -> np.ndarray:
    given = dict(OPTIONS[options])
    if "temperatures" in options:
        given["temperature"] = frame_temperatures(name)
    return generated(name, backend, **given, **kwargs)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "scan"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["plain", "all", "context"])
def test_backends_agree_with_options(name: str, options: str, backend: str) -> None:
    """To the code; and they change the waveform."""
    made = with_options(name, options)
    np.testing.assert_array_equal(with_options(name, options, backend), made)
    assert not np.array_equal(made, whole(name))


@pytest.mark.parametrize("backend", BACKENDS)
def test_chunks_do_not_matter_with_temperatures(backend: str) -> None:
    for name in ("plain", "all"):
        made = with_options(name, "top_p and temperatures", backend, chunk_samples=7)
        np.testing.assert_array_equal(made, with_options(name, "top_p and temperatures"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["plain", "all", "labels, transposed, 16 bits"])
def test_a_constant_temperature_of_frames_is_a_temperature(name: str, backend: str) -> None:
    constant = np.full_like(frame_temperatures(name), 0.7)
    np.testing.assert_array_equal(
        generated(name, backend, temperature=constant), generated(name, backend, temperature=0.7)
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_ends_of_top_p(backend: str) -> None:
    """1 draws among all codes, to the bit; next to 0 is temperature 0."""
    all_codes = generated("plain", backend, top_p=1.0)
    np.testing.assert_array_equal(all_codes, whole("plain"))
    least = generated("plain", backend, top_p=1e-6)
    np.testing.assert_array_equal(least, generated("plain", backend, temperature=0.0))
    config, params, _ = case("plain")
    numbers = sampling.uniforms(utterance_keys(SEED, range(BATCH)), 0, LENGTH)
    draws = sampling.make_draws(numbers)
    model = sampling.BACKENDS[backend].prepare(config, params, "float32", jax.devices()[:1])
    for each in (draws, sampling.Draws(draws.uniforms, draws.temperatures, np.float32(1))):
        codes, _ = model.generate_chunk(model.initial_state(BATCH), each, ChunkConditions())
        np.testing.assert_array_equal(codes, all_codes)


def test_frames_have_their_temperatures() -> None:
    """Those of temperature 0 the likeliest codes, also after a prime, whose frames count."""
    config, params, conditions = case("all")
    hop = config.hop_samples
    prime = np.random.default_rng(0).integers(0, config.num_classes, (BATCH, 10))
    temperature = np.ones((BATCH, grid.num_frames(config, LENGTH)), np.float32)
    temperature[:, 1::2] = 0
    made = generated("all", temperature=temperature, prime=prime, num_samples=LENGTH - 10)
    codes = np.concatenate([prime, made], axis=1)
    logits = grid.sequence_logits(config, params, codes, conditions)
    at = np.arange(10, LENGTH)
    is_likeliest = (codes == logits.argmax(axis=2))[:, at]
    is_zero = (at // hop) % 2 == 1
    assert is_zero.any()
    assert is_likeliest[:, is_zero].all()
    assert is_likeliest[:, ~is_zero].mean() < 0.7


def test_temperatures_with_frames_that_arrive() -> None:
    """Without a length asked for: as many are needed as frames arrive."""
    config, params, conditions = case("all")
    frames = conditions["local"][:, : grid.num_frames(config, LENGTH)]
    given = {"keys": utterance_keys(SEED, range(BATCH)), "backend": "scan"}
    given |= {"global_condition": conditions["global"], "devices": jax.devices()[:1]}

    def made(temperature: np.ndarray) -> np.ndarray:
        arriving = iter([frames[:, :3], frames[:, 3:]])
        chunks = generate(
            config, params, **given, local_condition=arriving, temperature=temperature
        )
        return np.concatenate(list(chunks), axis=1)

    wanted = with_options("all", "temperatures")
    np.testing.assert_array_equal(made(frame_temperatures("all"))[:, :LENGTH], wanted)
    with pytest.raises(InputError, match="The temperature has 2 frames of 4 samples, too few for"):
        made(np.ones((BATCH, 2)))


def test_a_mixture_is_not_restricted() -> None:
    sentence = "top_p is 0.5, and the model's output is 'logistic_mixture': give 1, for top-p is"
    with pytest.raises(InputError, match=sentence):
        generated("labels, transposed, 16 bits", top_p=0.5)


# -- memory -----------------------------------------------------------------------


def compiled_chunk(config: WaveNetConfig, length: int) -> Any:
    params = grid.random_params(config)
    model: Any = sampling.BACKENDS["scan"].prepare(config, params, "float32", jax.devices()[:1])
    state = model.initial_state(2)
    uniforms = sampling.uniforms(utterance_keys(0, np.arange(2)), 0, length)
    arguments = (params, state, sampling.make_draws(uniforms), ChunkConditions())
    return model.programs(2).generate_chunk.lower(*arguments).compile()


@functools.cache
def deep() -> WaveNetConfig:
    return WaveNetConfig(dilations=(4096, 2048), kernel_size=3, **grid.SMALL)


def test_ring_buffers_are_updated_in_place() -> None:
    """No step copies a ring: none is copied at all, nor would the scratch memory hold one."""
    compiled = compiled_chunk(deep(), 64)
    row_bytes = 2 * grid.SMALL["residual_channels"] * 4
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= (8193 + 4097) * row_bytes  # donated: the memory stays
    assert memory.temp_size_in_bytes < 4097 * row_bytes
    rings = r"f32\[(8193|4097),2,6\]"
    text = compiled.as_text()
    assert re.search(rings, text)
    assert not re.search(rings + r"\S* copy\(", text)


def test_memory_grows_with_the_chunk_and_not_with_the_sound() -> None:
    """One program serves every chunk, of a size that the chunk's length alone decides."""
    temp = [
        compiled_chunk(deep(), length).memory_analysis().temp_size_in_bytes for length in (64, 1088)
    ]
    # A uniform number, a code and an index a sample and batch item, with room to spare.
    assert temp[1] - temp[0] <= 1024 * 2 * 64
    config, params, _ = case("plain")
    scan: Any = sampling.BACKENDS["scan"].prepare(config, params, "float32", jax.devices()[:1])
    chunk = scan.programs(1).generate_chunk
    before = chunk._cache_size()
    for num_samples in (33, 330):
        chunks = generate(
            config,
            params,
            keys=utterance_keys(0, [0]),
            num_samples=num_samples,
            chunk_samples=33,
            devices=jax.devices()[:1],
            backend="scan",
        )
        assert sum(chunk.shape[1] for chunk in chunks) == num_samples
    assert chunk._cache_size() - before == 1


# -- what is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_samples": 0}, "The number of samples to generate is 0: give at least 1."),
        ({"num_samples": -5}, "The number of samples to generate is -5: give at least 1."),
        ({"num_samples": 1.5}, "The number of samples to generate is 1.5: give a whole number."),
        ({"keys": np.arange(3)}, r"The keys have shape \(3,\) and type int64: give one PRNG key"),
        ({"keys": utterance_keys(0, [0])[0]}, r"The keys have shape \(\) and type key<fry>: "),
        ({"precision": "int4"}, "precision is 'int4': use one of float32, bfloat16, int8"),
        ({"backend": "gpu"}, "The backend is 'gpu': use one of auto, cpu, scan, pallas."),
        ({"chunk_samples": 0}, "The chunk length to generate is 0: give at least 1."),
        ({"temperature": -0.1}, "The temperature is -0.1: "),
        ({"temperature": float("nan")}, "The temperature is nan: "),
        ({"temperature": np.full((3, 20), -0.5)}, "The temperature is -0.5: "),
        ({"temperature": np.ones(3)}, r"temperature has shape \(3,\): give .* of shape \(3, F\)"),
        ({"temperature": np.ones((2, 20))}, r"The temperature has shape \(2, 20\): give a number"),
        ({"temperature": np.ones((3, 12))}, "has 12 frames of 4 samples, too few for 50 samples"),
        ({"top_p": 0.0}, "top_p is 0.0: give a probability above 0, or 1 to draw among all codes."),
        ({"top_p": 1.5}, "top_p is 1.5: give a probability above 0"),
        ({"keys": utterance_keys(0, np.arange(0))}, "The batch to generate is 0: "),
        ({"local_condition": None}, "takes a local condition, and it was given none"),
        ({"global_condition": None}, "takes a global condition, and it was given none"),
        ({"global_condition": np.int32([0, 1])}, "global condition has shape"),
        ({"global_condition": np.int32([0, 1, 3])}, "has the label 3: the model knows 0 to 2"),
        ({"num_samples": 81}, "has 20 frames of 4 samples, too few for 81 samples: give 21"),
        ({"prime": np.zeros((3, 60), np.int32)}, "too few for 110 samples: give 28"),
        ({"prime": np.zeros(3, np.int32)}, r"The prime has shape \(3,\)"),
        ({"prime": np.zeros((2, 4), np.int32)}, r"The prime has shape \(2, 4\)"),
        ({"prime": np.full((3, 4), 256)}, "The prime is no codes from 0 to 255"),
        ({"prime": np.zeros((3, 4), np.float32)}, "The prime is no codes from 0 to 255"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_refused_at_the_call(changes: dict, message: str) -> None:
    config, params, conditions = case("all")
    arguments = {
        "keys": utterance_keys(0, np.arange(3)),
        "num_samples": LENGTH,
        "global_condition": conditions["global"],
        "local_condition": conditions["local"],
    }
    with pytest.raises(InputError, match=message):
        generate(config, params, **(arguments | changes))


def test_conditions_that_the_model_does_not_take() -> None:
    config, params, _ = case("plain")
    keys = utterance_keys(0, [0])
    for name, value in (("global", np.int32([0])), ("local", np.zeros((1, 9), np.int32))):
        with pytest.raises(InputError, match=f"takes no {name} condition"):
            generate(config, params, keys=keys, num_samples=9, **{f"{name}_condition": value})
