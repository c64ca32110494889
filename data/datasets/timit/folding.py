"""The phones of TIMIT that count as one: 48 to train on, 39 to score.

Lee and Hon (1989), "Speaker-independent phone recognition using hidden Markov models". As in
most published work since, the glottal stop q is left out, and closures and pauses count as
one silence among the 39.
"""

from data.datasets.timit.timit_dataset_builder import PHONES

GLOTTAL_STOP = "q"

_TO_48 = {
    "ax-h": "ax",
    "axr": "er",
    "em": "m",
    "eng": "ng",
    "h#": "sil",
    "hv": "hh",
    "nx": "n",
    "pau": "sil",
    "ux": "uw",
    **dict.fromkeys(("bcl", "dcl", "gcl"), "vcl"),
    **dict.fromkeys(("kcl", "pcl", "tcl"), "cl"),
}
_TO_39 = {
    "ao": "aa",
    "ax": "ah",
    "el": "l",
    "en": "n",
    "ix": "ih",
    "zh": "sh",
    **dict.fromkeys(("cl", "vcl", "epi"), "sil"),
}

TO_48 = {phone: _TO_48.get(phone, phone) for phone in PHONES if phone != GLOTTAL_STOP}
"""The 48 phones to train on, by TIMIT's own names; q has none."""

TO_39 = {phone: _TO_39.get(phone, phone) for phone in sorted(set(TO_48.values()))}
"""The 39 phones to score, by the names of the 48."""
