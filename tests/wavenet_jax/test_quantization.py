"""Samples to codes and back, evenly or mu-law spaced, from 8 bits to 16."""

import jax
import numpy as np
import pytest

from wavenet_jax import InputError, mulaw
from wavenet_jax.quantization import Quantizer

EVERY = np.arange(-32768, 32768).astype(np.int16)


def test_16_linear_bits_are_the_samples() -> None:
    linear = Quantizer(65536, "linear")
    codes = np.asarray(linear.encode(EVERY))
    np.testing.assert_array_equal(codes, np.arange(65536))
    np.testing.assert_array_equal(linear.decode_int16(codes), EVERY)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_linear_codes_round_to_the_nearest_level(bits: int) -> None:
    """Within half a step, but for the last: there is none above it."""
    linear = Quantizer(2**bits, "linear")
    codes = np.asarray(linear.encode(EVERY))
    assert (codes.min(), codes.max()) == (0, 2**bits - 1)
    assert (np.diff(codes) >= 0).all()
    step = 2 ** (16 - bits)
    errors = np.abs(np.asarray(linear.decode_int16(codes)).astype(int) - EVERY)
    assert errors[32767 - step // 2 >= EVERY].max() == step // 2
    assert errors.max() < step
    decoded = linear.decode_int16(np.arange(2**bits))
    np.testing.assert_array_equal(linear.encode(decoded), np.arange(2**bits))


@pytest.mark.parametrize("companding", ["mu_law", "linear"])
@pytest.mark.parametrize("num_classes", [16, 256, 4096])
def test_silence_is_one_code_and_its_value_is_zero(companding, num_classes) -> None:
    quantizer = Quantizer(num_classes, companding)
    assert quantizer.silence_code == int(quantizer.encode(np.zeros(1, np.int16))[0])
    assert float(quantizer.values(quantizer.silence_code)) == 0.0
    values = np.asarray(quantizer.values(np.arange(num_classes)))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(np.diff(values), 2 / num_classes)
    assert (values[0], values[-1]) == (-1.0, 1 - 2 / num_classes)


def test_mu_law_is_the_paper_s() -> None:
    quantizer = Quantizer(256)
    np.testing.assert_array_equal(quantizer.encode(EVERY), mulaw.encode(EVERY, 256))
    np.testing.assert_array_equal(quantizer.code_of_int16, quantizer.encode(EVERY))
    codes = np.arange(256)
    np.testing.assert_array_equal(quantizer.decode_int16(codes), mulaw.decode_int16(codes, 256))


@pytest.mark.parametrize("companding", ["mu_law", "linear"])
def test_floats_are_encoded_as_the_samples_they_stand_for(companding) -> None:
    quantizer = Quantizer(256, companding)
    sound = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    of_floats = np.asarray(quantizer.encode(sound.astype(np.float32) / 32768))
    assert np.mean(of_floats == np.asarray(quantizer.encode(sound))) > 0.999
    assert np.asarray(quantizer.encode(np.array([-3.0, 3.0], np.float32))).tolist() == [0, 255]
    with pytest.raises(TypeError, match="takes int16 or floating samples, not int32"):
        quantizer.encode(np.zeros(3, np.int32))


@pytest.mark.parametrize("companding", ["mu_law", "linear"])
def test_amplitudes_are_those_of_the_decoded_codes(companding) -> None:
    quantizer = Quantizer(256, companding)
    codes = np.arange(1, 255)
    found = np.asarray(quantizer.amplitudes(quantizer.values(codes)))
    expected = np.asarray(quantizer.decode_int16(codes)) / 32768
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-5)
    slopes = jax.vmap(jax.grad(quantizer.amplitudes))(quantizer.values(codes))
    assert (np.asarray(slopes) > 0).all()
    assert np.abs(np.asarray(quantizer.amplitudes(np.float32([-1.5, 1.5])))).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((255, "linear"), "num_classes is 255: give an even number from 2 to 65536"),
        ((1000, "linear"), "num_classes is 1000: give a power of two for linear codes"),
        ((65538, "linear"), "num_classes is 65538"),
        ((0, "mu_law"), "num_classes is 0"),
        ((256, "a_law"), "companding is 'a_law': use one of mu_law, linear"),
    ],
)
def test_what_is_no_quantizer(arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        Quantizer(*arguments)
