"""What the files of a corpus may claim or hold; `SECURITY.md` lists the limits.

A file that asks for more is refused before anything is allocated or written for it.
"""

MAX_SAMPLES = 2**30
"""Of a recording, all channels: 6.2 hours at 48 kHz, 4 GiB as floats."""

MAX_RATE_HZ = 2**20
"""Of a recording."""

MAX_N_FFT, MAX_MELS = 2**16, 2**10
"""Of a mel spectrogram, whose filters are a matrix of both."""

MAX_TEXT_BYTES = 2**29
"""Of a table, a label file or another text; the largest of a corpus, NSynth's, has 200 MB."""

MAX_CLASSES = 2**20
"""Of a label of a prepared corpus."""

MIN_UNPACKED_BYTES = 2**30
"""What an archive may hold, however small it is."""

MAX_EXPANSION = 100
"""How many times its own size an archive may hold beyond that; corpora of sound hold up to 10."""

MIN_FILE_BYTES = 4096
"""What each file of an archive counts for at least, as it does on a disk."""

MAX_HEADER_BYTES = 2**20
"""Of a header in a tar archive, such as a long name."""
