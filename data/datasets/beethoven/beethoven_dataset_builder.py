"""Beethoven's piano sonatas from the Internet Archive, in pieces of 8 s, `0.wav` and on.

Licence: none stated; the rights are those of the recordings.

In the order of their names the first 88% of the pieces train, 6% are validation and 6% test,
as the work on SaShiMi splits them.
"""

from data.builders.recorded import SortedBuilder


class Builder(SortedBuilder):
    """Pieces without labels; options as every recorded corpus has them."""

    LICENCE = "none stated: the rights are those of the recordings"
    HOMEPAGE = "https://huggingface.co/datasets/krandiash/beethoven"

    TITLE = "Beethoven"
