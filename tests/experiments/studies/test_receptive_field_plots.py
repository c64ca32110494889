"""Figures of the study of receptive fields: each note at its pitch, each model at its field."""

import librosa
import numpy as np
import pytest

from experiments.studies import receptive_field_plots


@pytest.mark.parametrize(("note", "row"), [("A4", 14 * 3), ("D5", 19 * 3)])
def test_a_note_stands_at_its_pitch(note: str, row: int) -> None:
    hz = librosa.note_to_hz(note)
    tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(16000) / 8000)
    figure = receptive_field_plots.notes([("tone", tone), ("half as long", tone[:8000])], 8000)
    first, second = figure.axes[:2]
    image = np.asarray(first.images[0].get_array())
    assert image[:, image.shape[1] // 2].argmax() == row
    left, right, bottom, top = first.images[0].get_extent()
    assert (left, bottom) == (0, 0) and right == pytest.approx(2, abs=0.02)
    assert top == len(image) / 36
    assert first.get_xlim() == second.get_xlim() == (0, 2)
    assert [label.get_text() for label in first.get_yticklabels()][:2] == ["G3", "G4"]


def test_bits_stand_at_their_receptive_fields() -> None:
    figure = receptive_field_plots.bits_by_receptive_field(
        [("short", 100.0, 4.0), ("long", 4000.0, 3.5)]
    )
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[100.0, 4.0], [4000.0, 3.5]])
    assert [text.get_text() for text in axes.texts] == ["short", "long"]
    assert axes.get_xscale() == "log"


def test_no_notes_and_no_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="no recordings"):
        receptive_field_plots.notes([], 8000)
    with pytest.raises(ValueError, match="no models"):
        receptive_field_plots.bits_by_receptive_field([])
