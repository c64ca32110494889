"""What the figures hold: axes, limits, labels, each sound in its right place."""

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.common import plots

RATE_HZ = 8000


def tone(frequency_hz: float, seconds: float, amplitude: float = 0.5) -> np.ndarray:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return amplitude * np.sin(2 * np.pi * frequency_hz * time_s)


def heights(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata())[:, 1]


def level_db(figure: Figure, panel: int, time_s: float, frequency_khz: float) -> float:
    """The level that a reader of the spectrogram finds at this time and frequency."""
    (image,) = figure.axes[2 * panel + 1].images
    left, right, bottom, top = image.get_extent()
    levels = np.asarray(image.get_array())
    row = int((frequency_khz - bottom) / (top - bottom) * levels.shape[0])
    column = int((time_s - left) / (right - left) * levels.shape[1])
    return float(levels[row, column])


def test_spectrograms_have_a_strip_and_a_panel_each_and_one_scale() -> None:
    figure = plots.spectrograms(
        [("real", tone(1000, 0.5)), ("generated", tone(500, 1.0)), ("b", tone(9, 0.1))],
        RATE_HZ,
    )
    assert len(figure.axes) == 2 * 3 + 1
    assert [axes.get_title(loc="left") for axes in figure.axes[0:6:2]] == [
        "real",
        "generated",
        "b",
    ]
    for panel in figure.axes[1:6:2]:
        assert panel.get_xlim() == (0.0, 1.0)
        assert panel.get_ylim() == (0.0, 4.0)
        assert panel.get_xlabel() == "time (s)"
        assert panel.images[0].get_clim() == (-80.0, 0.0)
    assert figure.axes[1].get_ylabel() == "frequency (kHz)"
    assert "dB" in figure.axes[-1].get_ylabel()
    assert figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("frequency_hz", [250, 1000, 3700])
def test_a_tone_stands_at_its_frequency(frequency_hz: int) -> None:
    figure = plots.spectrograms([("tone", tone(frequency_hz, 1.0))], RATE_HZ)
    levels = [level_db(figure, 0, 0.5, k / 100) for k in range(2, 399)]
    loudest_khz = (2 + int(np.argmax(levels))) / 100
    assert loudest_khz == pytest.approx(frequency_hz / 1000, abs=0.02)
    assert max(levels) == pytest.approx(0.0, abs=0.1)
    assert np.median(levels) < -60


def test_a_click_stands_at_its_time() -> None:
    click = np.zeros(RATE_HZ)
    click[3 * RATE_HZ // 4] = 1.0
    figure = plots.spectrograms([("click", click)], RATE_HZ)
    times_s = np.arange(1, 999) / 1000
    levels = np.array([level_db(figure, 0, time_s, 2.0) for time_s in times_s])
    heard_s = times_s[levels > -20]
    assert heard_s.mean() == pytest.approx(0.75, abs=0.003)
    assert np.ptp(heard_s) < 2 * plots.WINDOW_S


def test_the_scale_of_loudness_is_shared() -> None:
    figure = plots.spectrograms(
        [("loud", tone(1000, 0.5)), ("quiet", tone(1000, 0.5, amplitude=0.05))], RATE_HZ
    )
    assert level_db(figure, 0, 0.25, 1.0) == pytest.approx(0, abs=0.2)
    assert level_db(figure, 1, 0.25, 1.0) == pytest.approx(-20, abs=0.2)
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()


def test_int16_and_float_samples_look_the_same() -> None:
    samples = tone(1000, 0.2)
    pcm = np.round(samples * 32768).astype(np.int16)
    figure = plots.spectrograms([("float", samples), ("int16", pcm)], RATE_HZ)
    as_float, as_int16 = (heights(figure.axes[i].lines[0]) for i in (0, 2))
    np.testing.assert_allclose(as_float, as_int16, atol=2 / 32768)
    np.testing.assert_allclose(as_float, samples, atol=1e-6)


@pytest.mark.parametrize("num_samples", [1, 30, 500])
def test_short_and_silent_recordings_are_drawn(tmp_path: pathlib.Path, num_samples: int) -> None:
    figure = plots.spectrograms([("silence", np.zeros(num_samples))], RATE_HZ)
    plots.save(figure, tmp_path / "silence.png", dpi=30)
    levels = np.asarray(figure.axes[1].images[0].get_array())
    # float32 logarithms differ in their last bit from machine to machine.
    np.testing.assert_allclose(levels, -80, atol=1e-4)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no recordings"),
        ([("stereo", np.zeros((2, 9)))], r'"stereo" has shape \(2, 9\): give samples'),
        ([("empty", np.zeros(0))], r'"empty" has shape \(0,\): give samples'),
    ],
)
def test_what_cannot_be_drawn_is_refused(pairs: list[tuple[str, np.ndarray]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.spectrograms(pairs, RATE_HZ)


def test_loss_curve_draws_series_in_order_and_references() -> None:
    figure = plots.loss_curve(
        {"training": [(20, 5.0), (10, 6.0)], "held out": [(20, 5.5)], "none": []},
        {"unigram entropy": 7.18},
        x_label="seconds of training",
        title="FSDD",
    )
    (axes,) = figure.axes
    training, held_out, reference = axes.lines
    assert np.asarray(training.get_xydata()).tolist() == [[10, 6], [20, 5]]
    assert np.asarray(held_out.get_xydata()).tolist() == [[20, 5.5]]
    assert heights(reference).tolist() == [7.18, 7.18]
    assert [text.get_text() for text in axes.texts] == ["unigram entropy: 7.18"]
    legend = axes.get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["training", "held out"]
    assert axes.get_xlabel() == "seconds of training"
    assert axes.get_ylabel() == "bits per sample"
    assert axes.get_xlim()[0] == 0
    assert axes.get_ylim()[0] < 5.0
    assert axes.get_ylim()[1] > 7.18


def test_loss_curve_smooths_long_series() -> None:
    noise = np.random.default_rng(0).normal(size=1000)
    raw = list(enumerate(noise.tolist()))
    figure = plots.loss_curve({"training": raw}, {})
    drawn, smooth = figure.axes[0].lines
    np.testing.assert_array_equal(np.asarray(drawn.get_xydata()), raw)
    assert heights(smooth).std() < noise.std() / 4


def test_smoothing_does_not_shift_a_curve() -> None:
    ramp = [(i, 5 - i / 100) for i in range(1000)]
    _, smooth = plots.loss_curve({"training": ramp}, {}).axes[0].lines
    inner = slice(50, -50)
    np.testing.assert_allclose(heights(smooth)[inner], [y for _, y in ramp][inner])
    assert heights(smooth)[0] == pytest.approx(np.mean([y for _, y in ramp[:21]]))


def test_a_loss_curve_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no points"):
        plots.loss_curve({"training": []}, {"unigram entropy": 7.0})


def test_save_replaces_whole_or_not_at_all(tmp_path: pathlib.Path) -> None:
    figure = plots.loss_curve({"training": [(0, 8.0), (1, 7.0)]}, {})
    path = tmp_path / "new" / "curve.png"
    plots.save(figure, path, dpi=40)
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    plots.save(figure, path, dpi=80)
    assert len(path.read_bytes()) > len(first)
    with pytest.raises(ValueError, match="nonsense"):
        plots.save(figure, path.with_suffix(".nonsense"))

    class Broken(Figure):
        def savefig(self, fname: Any, **_: object) -> None:
            pathlib.Path(fname).write_bytes(b"half")
            raise OSError("disk full")

    before = path.read_bytes()
    with pytest.raises(OSError, match="disk full"):
        plots.save(Broken(), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["curve.png"]


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, io, tempfile, numpy as np\n"
        "from experiments.common import plots\n"
        "figure = plots.spectrograms([('a', np.zeros(800))], 8000)\n"
        "with tempfile.TemporaryDirectory() as directory:\n"
        "    plots.save(figure, f'{directory}/figure.png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    root = pathlib.Path(plots.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
