"""Corpora of recorded and synthesised sound, and the batches that train on them.

    registry, corpus          corpora by name: options, building, loading; reading a split
    windows, augmentation     training windows, whole recordings; random gain and noise
    builders/                 base classes of TFDS builders, over processes or Beam pipelines;
                              archives, label files, splits
    datasets/NAME/            the TFDS builder of each corpus
    audio/                    reading recordings, mel spectrograms (other toolkits' too), cepstra,
                              F0, filters
    text/                     phones and words in time, alignment, cutting, features of frames, the
                              front ends eSpeak NG and HTS

Letters in shapes: `B` windows a batch, `C` context samples, `S` scored samples, `N` samples of a
recording, `F` frames, `D` features a frame, `M` mel bands, `P` phones, `W` words, `K` classes of
phones, `Q` questions.
"""

from data.audio import mel_conventions
from data.audio.filtering import Taps, noise_shaping_taps, pre_emphasis_taps
from data.audio.mel import MelConfig, MelFeatures, griffin_lim, mel_spectrogram
from data.audio.pitch import f0
from data.augmentation import Augmentation
from data.corpus import Corpus
from data.errors import DataError, RecordingError
from data.registry import OPTIONS, build, load, splits
from data.text import espeak, hts
from data.text.frames import (
    frame_labels,
    log_f0,
    phone_feature_names,
    phone_features,
    pitch_features,
)
from data.text.linguistics import (
    columns_around,
    context_frame_names,
    context_names,
    expand_contexts,
    linguistic_features,
    phone_contexts,
)
from data.windows import Targets, WindowIterator, global_condition, recordings, training_windows

__all__ = [
    "OPTIONS",
    "Augmentation",
    "Corpus",
    "DataError",
    "MelConfig",
    "MelFeatures",
    "RecordingError",
    "Taps",
    "Targets",
    "WindowIterator",
    "build",
    "columns_around",
    "context_frame_names",
    "context_names",
    "espeak",
    "expand_contexts",
    "f0",
    "frame_labels",
    "global_condition",
    "griffin_lim",
    "hts",
    "linguistic_features",
    "load",
    "log_f0",
    "mel_conventions",
    "mel_spectrogram",
    "noise_shaping_taps",
    "phone_contexts",
    "phone_feature_names",
    "phone_features",
    "pitch_features",
    "pre_emphasis_taps",
    "recordings",
    "splits",
    "training_windows",
]
