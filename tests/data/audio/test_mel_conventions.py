"""Mel spectrograms of other toolkits: by their own formulas, converted, and told apart."""

import dataclasses
import pathlib

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile

import data
from data.audio import mel_conventions

TACOTRON2 = data.MelConfig(22050, 256, 1024, 80, 0.0, 8000.0)
ESPNET = dataclasses.replace(TACOTRON2, fmin_hz=80.0, fmax_hz=7600.0)
R9Y9 = dataclasses.replace(TACOTRON2, fmin_hz=125.0, fmax_hz=7600.0)
CONFIGS = {"tacotron2": TACOTRON2, "espnet": ESPNET, "r9y9": R9Y9, "wavenet_jax": TACOTRON2}
FOREIGN = ("espnet", "r9y9", "tacotron2")


def speech() -> np.ndarray:
    """Two seconds of a voice-like buzz with breath, in bursts, over a little noise."""
    random = np.random.default_rng(0)
    time_s = np.arange(2 * 22050) / 22050
    buzz = sum(np.sin(2 * np.pi * 130 * k * time_s) / k**1.5 for k in range(1, 60))
    breath = scipy.signal.lfilter([1], [1, -0.8], random.normal(0, 0.05, len(time_s)))
    envelope = np.sin(2 * np.pi * 2.5 * time_s) ** 2
    sound = 0.2 * envelope * (buzz + breath) + random.normal(0, 1e-3, len(time_s))
    return np.round(32767 * sound).astype(np.int16)


def by_formula(samples: np.ndarray, config: data.MelConfig, convention: str) -> np.ndarray:
    """The mel spectrogram `[F, M]` as the toolkit makes it, with librosa."""
    spectrum = librosa.stft(
        samples.astype(np.float32) / 32768, n_fft=1024, hop_length=256, pad_mode="reflect"
    )
    bands = librosa.filters.mel(
        sr=22050, n_fft=1024, n_mels=80, fmin=config.fmin_hz, fmax=config.fmax_hz
    )
    mel = (bands @ np.abs(spectrum)).T
    if convention == "tacotron2":
        return np.log(np.clip(mel, 1e-5, None))
    return np.log10(np.maximum(mel, 1e-10))


def saved(folder: pathlib.Path, values: np.ndarray) -> pathlib.Path:
    np.save(folder / "mel.npy", values)
    return folder / "mel.npy"


def own_at_their_centres(samples: np.ndarray, config: data.MelConfig) -> np.ndarray:
    """This project's frames of the sound half a hop later, which are centred as the others are."""
    return data.mel_spectrogram(np.pad(samples, (128, 0)), config)


def assert_agree(frames: np.ndarray, own: np.ndarray) -> None:
    """Away from the ends, which the others reflect."""
    np.testing.assert_allclose(frames[2:-3], own[2 : len(frames) - 3], atol=1e-3)
    assert frames[2:-3].std() > 0.1


@pytest.mark.parametrize("convention", FOREIGN)
def test_is_this_projects_once_converted(tmp_path: pathlib.Path, convention: str) -> None:
    samples, config = speech(), CONFIGS[convention]
    values = by_formula(samples, config, convention)
    frames = mel_conventions.read(saved(tmp_path, values), config, convention)
    assert frames.dtype == np.float32
    assert_agree(frames, own_at_their_centres(samples, config))
    made = mel_conventions.converted_spectrogram(samples, config, convention)
    assert made.shape == (len(samples) // 256 + 1, 80)
    np.testing.assert_allclose(made, frames, atol=1e-4)  # at the ends too


def test_this_projects_is_unchanged(tmp_path: pathlib.Path) -> None:
    mel = data.mel_spectrogram(speech(), TACOTRON2)
    read = mel_conventions.read(saved(tmp_path, mel), TACOTRON2, "wavenet_jax")
    np.testing.assert_array_equal(read, mel)
    made = mel_conventions.converted_spectrogram(speech(), TACOTRON2, "wavenet_jax")
    np.testing.assert_array_equal(made, mel)


@pytest.mark.parametrize("convention", FOREIGN)
def test_where_the_sound_begins(convention: str) -> None:
    """A click is loudest in the frame that `lead_samples` before it begin."""
    config = CONFIGS[convention]
    lead = mel_conventions.lead_samples(config, convention)
    assert lead == 128
    for sample in (400, 511, 3000):
        click = np.zeros(8192, np.int16)
        click[sample] = 30000
        made = mel_conventions.converted_spectrogram(click, config, convention)
        assert made.sum(axis=1).argmax() == (sample + lead) // 256
        assert mel_conventions.num_samples(len(made), config, convention) == len(made) * 256 - lead
    assert mel_conventions.lead_samples(config, "wavenet_jax") == 0


def scale_of(convention: str) -> str:
    return "espnet or r9y9" if convention in ("espnet", "r9y9") else convention


def values_of(samples: np.ndarray, convention: str) -> np.ndarray:
    """In the bands of every convention's model, whose edges hardly change the statistics."""
    if convention == "wavenet_jax":
        return data.mel_spectrogram(samples, TACOTRON2)
    return by_formula(samples, TACOTRON2, convention)


@pytest.mark.parametrize("gain", [0.1, 1.0])
@pytest.mark.parametrize("of", CONFIGS)
@pytest.mark.parametrize("named", CONFIGS)
def test_another_scale_is_refused_by_name(
    tmp_path: pathlib.Path, named: str, of: str, gain: float
) -> None:
    path = saved(tmp_path, values_of((gain * speech()).astype(np.int16), of))
    if scale_of(named) == scale_of(of):
        assert mel_conventions.read(path, CONFIGS[named], named).shape[1] == 80
        return
    with pytest.raises(data.DataError, match=f"looks like .*mel_convention={scale_of(of)}$"):
        mel_conventions.read(path, CONFIGS[named], named)


def test_real_recordings_are_told_apart(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Every recording of LJ Speech that is here, in each scale under each name; and agreement."""
    for path in sorted((shared / "ljspeech" / "wavs").glob("*.wav")):
        samples = soundfile.read(path, dtype="int16")[0]
        for of in ("wavenet_jax", "espnet", "tacotron2"):
            file = saved(tmp_path, values_of(samples, of))
            for named in ("wavenet_jax", "espnet", "tacotron2"):
                if named == of:
                    frames = mel_conventions.read(file, CONFIGS[named], named)
                    if named == "tacotron2":
                        assert_agree(frames, own_at_their_centres(samples, TACOTRON2))
                    continue
                with pytest.raises(data.DataError, match=f"mel_convention={scale_of(of)}$"):
                    mel_conventions.read(file, CONFIGS[named], named)


def decibels(samples: np.ndarray) -> np.ndarray:
    """Decibels from 0 to 1, as r9y9's wavenet_vocoder had them at first."""
    mel = np.exp(by_formula(samples, TACOTRON2, "tacotron2"))
    return np.clip((20 * np.log10(mel) - 20 + 100) / 100, 0, 1)


@pytest.mark.parametrize("named", CONFIGS)
def test_scales_that_are_not_converted(tmp_path: pathlib.Path, named: str) -> None:
    of_zero_to_one = decibels(speech())
    ln_mel = by_formula(speech(), TACOTRON2, "tacotron2")
    normalised = (ln_mel - ln_mel.mean(axis=0)) / ln_mel.std(axis=0)
    for values, looks in (
        (of_zero_to_one, "decibels from 0 to 1"),
        (8 * of_zero_to_one - 4, "decibels from -4 to 4 or a normalised mel"),
        (normalised, "decibels from -4 to 4 or a normalised mel"),
        (np.full((9, 80), -0.5), "no recording's in a scale that is known"),
    ):
        path = saved(tmp_path, values)
        message = f"looks like {looks}, not .*: make it by the formula of one of wavenet_jax"
        with pytest.raises(data.DataError, match=message):
            mel_conventions.read(path, CONFIGS[named], named)


def test_either_way_round_and_any_float(tmp_path: pathlib.Path) -> None:
    values = by_formula(speech(), TACOTRON2, "tacotron2")
    frames = mel_conventions.read(saved(tmp_path, values), TACOTRON2, "tacotron2")
    turned = saved(tmp_path, values.T)
    np.testing.assert_array_equal(mel_conventions.read(turned, TACOTRON2, "tacotron2"), frames)
    for dtype in (np.float64, np.float16):
        path = saved(tmp_path, values.astype(dtype))
        read = mel_conventions.read(path, TACOTRON2, "tacotron2")
        np.testing.assert_allclose(read, frames, atol=2e-3)
    square = saved(tmp_path, values[:80])
    np.testing.assert_array_equal(mel_conventions.read(square, TACOTRON2, "tacotron2"), frames[:80])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((0, 80), np.float32), r"has shape \(0, 80\): give frames of .* 80 bands"),
        (np.zeros((9, 40), np.float32), r"has shape \(9, 40\): give frames of .* 80 bands"),
        (np.zeros((1, 80, 9), np.float32), r"has shape \(1, 80, 9\)"),
        (np.zeros(80, np.float32), r"has shape \(80,\)"),
        (np.zeros((9, 80), np.int32), "holds int32: save one array of floats"),
        (np.full((9, 80), np.nan), "has 720 values that are NaN or infinite"),
        (np.full((9, 80), -np.inf), "has 720 values that are NaN or infinite"),
    ],
)
def test_no_mel_spectrogram(tmp_path: pathlib.Path, values: np.ndarray, message: str) -> None:
    with pytest.raises(data.DataError, match=message) as raised:
        mel_conventions.read(saved(tmp_path, values), TACOTRON2, "tacotron2")
    assert "\n" not in str(raised.value)


def test_no_file_of_numpy(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mel.npy"
    with pytest.raises(data.DataError, match=r"mel.npy is not a file"):
        mel_conventions.read(path, TACOTRON2, "tacotron2")
    np.save(path, np.array([{"mel": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(data.DataError, match=r"is no whole npy file .*: write it with numpy.save"):
        mel_conventions.read(path, TACOTRON2, "tacotron2")
    whole = saved(tmp_path, np.zeros((99, 80))).read_bytes()
    for content in (b"", b"no array", whole[:-8]):
        path.write_bytes(content)
        with pytest.raises(data.DataError, match=r"is no whole npy file"):
            mel_conventions.read(path, TACOTRON2, "tacotron2")
    with path.open("wb") as file:
        np.savez(file, mel=np.zeros((9, 80)))
    with pytest.raises(data.DataError, match=r"is no whole npy file .*: write it with numpy.save"):
        mel_conventions.read(path, TACOTRON2, "tacotron2")


def test_a_model_of_other_bands_or_frames_is_refused(tmp_path: pathlib.Path) -> None:
    path = saved(tmp_path, by_formula(speech(), TACOTRON2, "espnet"))
    with pytest.raises(
        data.DataError,
        match="has fmin_hz=0, fmax_hz=8000, and that of espnet fmin_hz=80, fmax_hz=7600: use a",
    ):
        mel_conventions.read(path, TACOTRON2, "espnet")
    slower = dataclasses.replace(TACOTRON2, sample_rate_hz=16000, hop_samples=200)
    with pytest.raises(
        data.DataError,
        match="has sample_rate_hz=16000, hop_samples=200, and that of tacotron2 sample_rate_hz=2",
    ):
        mel_conventions.converted_spectrogram(speech(), slower, "tacotron2")


@pytest.mark.parametrize("samples", [np.zeros(1, np.int16), np.zeros(9, np.float32)])
def test_only_int16_of_one_recording(samples: np.ndarray) -> None:
    with pytest.raises(data.DataError, match="give int16 .N., N > 1"):
        mel_conventions.converted_spectrogram(samples, TACOTRON2, "tacotron2")
