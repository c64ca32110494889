"""The study of steering: its cells, its shares with intervals, and what it continues."""

import json
import pathlib

import numpy as np
import pytest

from experiments.common import restore
from experiments.steering import search
from experiments.studies import steering
from wavenet_jax import InputError

CONSTRAINTS = ("loudness:0,6+-3", "onsets:0-20")


@pytest.fixture(scope="module")
def trained(trained_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(trained_dir)


def options(**changes):
    given = {"num_samples": 2, "seconds": 0.02, "prime_s": 0.03, "num_candidates": 3}
    return given | {"chunk_s": 0.01, "max_backtracks": 1} | changes


def test_every_cell_is_measured(trained, fsdd_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(steering, "CONSTRAINTS", CONSTRAINTS)
    corpus = trained.run.load(fsdd_dir, "test")
    cells = steering.study(trained, corpus, out=tmp_path, **options())
    assert list(cells) == [(name, way) for name in CONSTRAINTS for way in steering.WAYS]
    for (_, way), cell in cells.items():
        lengths = (len(cell.holds), len(cell.bits), len(cell.seconds), len(cell.drawn_samples))
        assert lengths == (2, 2, 2, 2)
        assert min(cell.seconds) > 0 and 0 < min(cell.bits) < 20
        drawn = np.array(cell.drawn_samples) / 160
        if way == "chunks":
            assert set(drawn) <= {3.0, 4.5, 6.0}  # of 3, 4 or 6 times half of it
        else:
            assert set(drawn) == {1.0 if way == "sampling" else 3.0}
    for name in CONSTRAINTS:
        # The first of the candidates among which the best is chosen is that of sampling.
        plain, best, likeliest = (cells[name, way] for way in ("sampling", "best", "likeliest"))
        assert np.all(np.array(best.holds) >= plain.holds)
        assert np.all(np.array(likeliest.bits) <= plain.bits)
    assert len(list(tmp_path.glob("*.wav"))) == 2 * 2 * 4
    rows = steering.figures(cells)
    json.dumps(rows)
    assert [row["drawn_times"] for row in rows if row["way"] == "best"] == [3.0, 3.0]
    assert len(steering.table(rows).splitlines()) == 2 + 2 * 4


def test_an_autoencoder_is_steered_in_its_latent_series(
    autoencoder_dir, fsdd_dir, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(steering, "ENCODER_CONSTRAINTS", CONSTRAINTS[:1])
    model = restore.load(autoencoder_dir, "last")
    corpus = model.run.load(fsdd_dir, "test")
    cells = steering.study(model, corpus, out=tmp_path, **options(prime_s=None))
    assert list(cells) == [(CONSTRAINTS[0], way) for way in steering.ENCODER_WAYS]
    plain, found = cells[CONSTRAINTS[0], "sampling"], cells[CONSTRAINTS[0], "latent"]
    assert plain.drawn_bits == plain.bits
    assert len(found.drawn_bits) == 2 and 0 < min(found.drawn_bits) < 20
    assert set(found.drawn_samples) <= {160, 320, 480} and min(found.seconds) > 0
    assert len(list(tmp_path.glob("*_latent_*.wav"))) == 2
    with pytest.raises(InputError, match="--prime_s is 0.03, but the model has an encoder"):
        steering.study(model, corpus, **options())
    with pytest.raises(InputError, match="or for shorter ones with --seconds"):
        steering.study(model, corpus, **options(prime_s=None, seconds=100.0))


def test_a_single_sound_may_differ_from_the_first_of_several(
    trained, fsdd_dir, monkeypatch
) -> None:
    """Rounding, which is another in a batch, may decide a draw; its bits are its own then."""
    candidates = search.candidates

    def drawn(source, *, num_candidates, **of_utterance):
        codes = candidates(source, num_candidates=num_candidates, **of_utterance)
        return codes ^ 1 if num_candidates == 1 else codes

    monkeypatch.setattr(search, "candidates", drawn)
    monkeypatch.setattr(steering, "CONSTRAINTS", CONSTRAINTS[:1])
    corpus = trained.run.load(fsdd_dir, "test")
    cells = steering.study(trained, corpus, **options())
    assert len(cells[CONSTRAINTS[0], "sampling"].bits) == 2


def test_shares_have_wilsons_interval() -> None:
    """Of 3 of 24 from the formula."""
    cell = steering.Cell()
    for i in range(24):
        made = search.Steered(np.zeros(1, int), np.zeros(1, np.int16), float(i % 8 == 0) - 1, 1)
        cell.add(made, 4.0, 1.0)
    z, n, p = 1.959964, 24, 3 / 24
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert cell.share == p
    assert cell.interval == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_primes_are_spread_over_the_recordings(trained, fsdd_dir) -> None:
    corpus = trained.run.load(fsdd_dir, "test")
    parts = steering.primes(corpus, 3, 200)
    assert parts[0][0] == 0 and parts[-1][0] == len(corpus) - 1
    for i, prime in parts:
        whole = corpus.recording(i)["audio"]
        starts = range(0, len(whole) - 199, 200)
        assert any(np.array_equal(whole[start : start + 200], prime) for start in starts)
    with pytest.raises(InputError, match=r"has \d+ parts of 200 samples with sound: ask for no"):
        steering.primes(corpus, 1000, 200)


def test_refusals(trained, fsdd_dir) -> None:
    corpus = trained.run.load(fsdd_dir, "test")
    with pytest.raises(InputError, match="--seconds, --chunk_s and --prime_s are 0.02, 0.0 and"):
        steering.study(trained, corpus, **options(chunk_s=0.0))
