"""Figures of the study of speakers: shares of confusions, names of points."""

import numpy as np
import pytest

from experiments.studies import speakers_plots


def test_confusions_have_a_matrix_each_with_shares_of_the_true_class() -> None:
    counts = np.array([[3, 1], [0, 0]])
    figure = speakers_plots.confusions({"real": counts, "made": counts.T}, ["a", "b"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["real", "made"]
    (image,) = figure.axes[0].images
    np.testing.assert_allclose(np.asarray(image.get_array()), [[0.75, 0.25], [0, 0]])
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["1", "3"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match="shape"):
        speakers_plots.confusions({"real": counts}, ["a", "b", "c"])
    with pytest.raises(ValueError, match="no matrices"):
        speakers_plots.confusions({}, ["a"])


def test_classes_are_named_where_they_are() -> None:
    figure = speakers_plots.embedding({"a": [0.0, 1.0], "b": [2.0, -1.0]})
    (scatter,) = figure.axes[0].collections
    np.testing.assert_array_equal(np.asarray(scatter.get_offsets()), [[0, 1], [2, -1]])
    assert {t.get_text(): tuple(t.xy) for t in figure.axes[0].texts} == {"a": (0, 1), "b": (2, -1)}
    close = speakers_plots.embedding({"a": [0.0, 0.0], "b": [0.01, 0.01], "c": [1.0, 1.0]})
    sides = {text.get_text(): text.get_va() for text in close.axes[0].texts}
    assert sides == {"a": "top", "b": "bottom", "c": "bottom"}
    with pytest.raises(ValueError, match="no points"):
        speakers_plots.embedding({})
