"""Any bytes are read, or refused in a sentence: a few mutations of each reader's files, and what
the fuzzer (`fuzz.py`) found."""

import contextlib
import pathlib

import hypothesis
import hypothesis.strategies as st
import pytest
from readers import READERS, REFUSALS, Reader, mutated

EXAMPLES = 50
SLOW = {"checkpoint": 2, "model": 8, "corpus": 20, "tar": 30, "zip": 30, "sound": 100}
"""How many examples of the readers whose names begin so."""


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # tarfile, of damaged archives
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_any_file_is_read_or_refused(reader: Reader, tmp_path: pathlib.Path) -> None:
    seeds, read = reader.opened(tmp_path)
    number = SLOW.get(reader.name.split("'")[0], EXAMPLES)

    @hypothesis.settings(max_examples=number, database=None)
    @hypothesis.given(st.sampled_from(seeds), st.randoms(use_true_random=False))
    def holds(seed: bytes, draw) -> None:
        with contextlib.suppress(*REFUSALS):
            read(mutated(seed, draw))

    holds()
