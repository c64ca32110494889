"""Full-context labels and question files, as HTS and Merlin have them.

`labels` reads label files, `questions` answers the questions of a question file for them, and
`frames` makes features of the answers. `data.datasets.hts` is a corpus of recordings with labels.
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
