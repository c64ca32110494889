"""Beethoven's piano sonatas from the Internet Archive (public domain), in pieces of 8 s.

In the order of their names the first 88% of the pieces train, 6% are validation and 6% test,
as the work on SaShiMi splits them.
"""

from data.recorded import SortedBuilder


class Builder(SortedBuilder):
    """Pieces without labels; options as every recorded corpus has them."""

    TITLE = "Beethoven"
