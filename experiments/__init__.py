"""Programs, configs and studies on the library and the corpora."""

from experiments.common import huge_pages

huge_pages.restart()  # before a program imports what it needs, which takes seconds
