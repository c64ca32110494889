"""Full-context labels and question files, as HTS and Merlin have them.

`labels` reads label files, `questions` asks of the labels what a question file lists, `frames`
makes rows of numbers of both.
"""

from data.hts.frames import NUM_POSITIONS, frame_answers, frame_features
from data.hts.labels import Labels, read_labels
from data.hts.questions import Questions

__all__ = [
    "NUM_POSITIONS",
    "Labels",
    "Questions",
    "frame_answers",
    "frame_features",
    "read_labels",
]
