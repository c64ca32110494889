"""Corpora of recorded and synthesised sound, and the batches that train on them.

Letters in shapes: `B` windows a batch, `C` context samples, `S` scored samples,
`N` samples of a recording, `F` frames, `D` features a frame.
"""

from data.corpora import OPTIONS, Corpus, build, load
from data.emphasis import DeEmphasis, pre_emphasize
from data.errors import DataError
from data.features import frame_labels, num_phone_features, phone_features
from data.windows import WindowIterator, recordings, training_windows

__all__ = [
    "OPTIONS",
    "Corpus",
    "DataError",
    "DeEmphasis",
    "WindowIterator",
    "build",
    "frame_labels",
    "load",
    "num_phone_features",
    "phone_features",
    "pre_emphasize",
    "recordings",
    "training_windows",
]
