"""Corpora of recorded and synthesised sound, and the batches that train on them.

Letters in shapes: `B` windows a batch, `C` context samples, `S` scored samples,
`N` samples of a recording, `F` frames, `D` features a frame, `M` mel bands.
"""

from data import hts
from data.corpora import OPTIONS, Corpus, build, load, splits
from data.emphasis import DeEmphasis, pre_emphasize
from data.errors import DataError
from data.features import frame_labels, num_phone_features, phone_features
from data.linguistics import (
    linguistic_features,
    num_context_features,
    num_context_frame_features,
    num_linguistic_features,
    phone_contexts,
)
from data.mel import MelConfig, griffin_lim, mel_features, mel_spectrogram, mel_to_magnitudes
from data.windows import WindowIterator, recordings, training_windows

__all__ = [
    "OPTIONS",
    "Corpus",
    "DataError",
    "DeEmphasis",
    "MelConfig",
    "WindowIterator",
    "build",
    "frame_labels",
    "griffin_lim",
    "hts",
    "linguistic_features",
    "load",
    "mel_features",
    "mel_spectrogram",
    "mel_to_magnitudes",
    "num_context_features",
    "num_context_frame_features",
    "num_linguistic_features",
    "num_phone_features",
    "phone_contexts",
    "phone_features",
    "pre_emphasize",
    "recordings",
    "splits",
    "training_windows",
]
