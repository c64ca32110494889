"""YouTubeMix: a recording of piano music in pieces of one minute, `out000.wav` and on.

Licence: that of the recording, which its source does not state. In the order of their names
the first 88% of the pieces train, 6% are validation and 6% test, as the work on SaShiMi
splits them.
"""

from data.builders.recorded import SortedBuilder


class Builder(SortedBuilder):
    """Pieces without labels; options as every recorded corpus has them."""

    LICENCE = "none stated: the rights are those of the recording"
    HOMEPAGE = "https://huggingface.co/datasets/krandiash/youtubemix"

    TITLE = "YouTubeMix"
