"""Full-context labels and question files, as HTS and Merlin have them.

`labels` reads label files, `questions` asks of the labels what a question file lists, `frames`
makes rows of numbers of both. `hts_dataset_builder` makes a corpus of recordings with labels.
"""

from data.text.hts.frames import (
    NUM_POSITIONS,
    frame_answers,
    frame_features,
    linguistic_features,
    phone_contexts,
)
from data.text.hts.labels import Labels, phone_samples, read_labels, utterance
from data.text.hts.questions import Questions

__all__ = [
    "NUM_POSITIONS",
    "Labels",
    "Questions",
    "frame_answers",
    "frame_features",
    "linguistic_features",
    "phone_contexts",
    "phone_samples",
    "read_labels",
    "utterance",
]
