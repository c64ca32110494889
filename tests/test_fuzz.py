"""Any bytes are read, or refused in a sentence: a few mutations of each reader's files, and what
the fuzzer (`fuzz.py`) found."""

import contextlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

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


# -- what was found ----------------------------------------------------------------


def but(**values: Any) -> Callable[[bytes], bytes]:
    """Changes values of JSON, at keys joined by two underscores; `...` takes one out."""

    def change(content: bytes) -> bytes:
        whole = json.loads(content)
        for path, value in values.items():
            *keys, last = path.split("__")
            holder = whole
            for key in keys:
                holder = holder[key]
            if value is ...:
                del holder[last]
            else:
                holder[last] = value
        return json.dumps(whole).encode()

    return change


def instead(old: bytes, new: bytes) -> Callable[[bytes], bytes | None]:
    return lambda seed: seed.replace(old, new) if old in seed else None


def to(content: bytes) -> Callable[[bytes], bytes]:
    return lambda seed: content


FEATURES, INFO = "corpus's features.json", "corpus's dataset_info.json"
METADATA, CONFIG = "corpus's metadata.json", "model's config.json"
NESTED = b'{"a":' * 10**5
INFINITE = float("inf")
ENVELOPE = {"order": 4, "strength": 0.5, "hop_samples": 20, "bands": [0.1, 0.2]}
ENVELOPE |= {"log_scale": 1.0, "log_offset": 0.0}
FOUND = [
    ("mel", instead(b"'fortran", b"\xd4\n('fortran")),
    ("mel", to(b"PK\x03\x04")),
    ("timit labels", to(b"0 " + b"9" * 400 + b" h#")),
    ("timit labels", to(b"0 " + b"9" * 5000 + b" h#")),
    ("hts labels", instead(b"[2]", b"[" + b"9" * 5000 + b"]")),
    ("librispeech", instead(b"84-12-0001", b"84-12-0001/etc/passwd")),
    ("librispeech", instead(b"84-12-0001", b"84-12-0001\0")),
    ("ljspeech", instead(b"LJ001-0002", b"\0")),
    ("maestro", instead(b"2004,", b"2004")),
    ("maestro", instead(b"2004", b"2\x0b004")),
    ("maestro", instead(b"B,", b"B" * 2**18 + b",")),
    ("magnatagatune", instead(b"1\t1\t0/a.mp3", b"")),
    ("magnatagatune", lambda seed: b"\r\n" + seed),
    ("magnatagatune", instead(b"loud", b"l" * 2**18)),
    ("nsynth", but(a__pitch=INFINITE)),
    ("nsynth", but(a__velocity=-INFINITE)),
    ("nsynth", but(a__pitch=1000)),
    ("nsynth", to(NESTED)),
    ("zip", instead(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x63\0")),  # no known compression
    ("zip", instead(b"\x14\0\0\0\x08\0", b"\x14\0\x01\0\x08\0")),  # encrypted
    ("zip", instead(b"\x14\x03\x14\0", b"\x14\x03\xff\0")),  # a later version
    (FEATURES, to(b"{")),
    (FEATURES, to(b"\xff")),
    (FEATURES, to(NESTED)),
    (FEATURES, to(b"[]")),
    (FEATURES, but(featuresDict__features=INFINITE)),
    (FEATURES, but(featuresDict__features__audio=...)),
    (FEATURES, but(featuresDict__features__start__pythonClassName=None)),
    (FEATURES, but(featuresDict__features__audio__tensor__shape={"dimensions": ["-9"]})),
    (FEATURES, but(featuresDict__features__digit__classLabel={"numClasses": None})),
    (INFO, to(b"{")),
    (INFO, to(b"\xff")),
    (INFO, but(splits=[{"filepathTemplate": "x"}])),
    (INFO, but(splits=[{"name": INFINITE}])),
    (INFO, but(version=1)),
    (METADATA, to(b"{")),
    (METADATA, to(b"\xff")),
    (METADATA, to(NESTED)),
    (METADATA, but(sample_rate_hz=...)),
    (METADATA, but(sample_rate_hz="")),
    (METADATA, but(sample_rate_hz=[0.5])),
    (METADATA, but(index=None)),
    (METADATA, but(index__train=...)),
    (METADATA, but(index__train=None)),
    (METADATA, but(index__train__recording=True)),
    (METADATA, but(index__train__recording=["a"])),
    (METADATA, but(index__train__length=[INFINITE, 1])),
    (METADATA, but(index__train__length=["9", [1]])),
    (METADATA, but(index__train__length=...)),
    (METADATA, but(questions=[1])),
    (CONFIG, to(NESTED)),
    (CONFIG, but(files=[])),
    (CONFIG, but(networks=[1])),
    (CONFIG, but(questions=True)),
    (CONFIG, but(questions=[1])),
    (CONFIG, but(step="4")),
    (CONFIG, but(audio=5)),
    (CONFIG, but(audio__pre_emphasis=-1)),
    (CONFIG, but(audio__filter_taps=[1, INFINITE])),
    (CONFIG, but(audio__envelope=5)),
    (CONFIG, but(audio__envelope={})),
    (CONFIG, but(audio__envelope=ENVELOPE)),
    (CONFIG, but(audio__envelope=ENVELOPE | {"order": 10**9})),
    (CONFIG, but(audio__envelope=ENVELOPE | {"bands": [0.1, INFINITE]})),
    (CONFIG, but(model__dropout=10**400)),
    (CONFIG, but(model__residual_channels=10**30)),
    (CONFIG, but(experiment=[])),
    ("model's model.safetensors", lambda seed: seed[:-4]),
    ("checkpoint's checksums/metadata", but(json=5)),
    ("checkpoint's checksums/metadata", but(arrays=5)),
    ("checkpoint's checksums/metadata", instead(b'"crc32"', b'"crc"')),
    ("checkpoint's data/metadata", to(b"{}")),
    ("checkpoint's metrics/metrics", to(b"{")),
    ("checkpoint's metrics/metrics", to(b"NaN")),
    ("checkpoint's metrics/metrics", to(b'{"bits_per_sample": "3"}')),
    ("checkpoint's metrics/metrics", to(b'{"bits_per_sample": 1' + b"0" * 400 + b"}")),
    ("checkpoint's metrics/metrics", to(b"\xff")),
    ("checkpoint's _CHECKPOINT_METADATA", but(init_timestamp_nsecs=0.5)),
    ("history", lambda seed: seed + NESTED + b"\n"),
]
"""Readers, and what their files were changed to: each ended in an error of a library, or of
Python, until it was refused."""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("name", "change"), FOUND, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FOUND)]
)
def test_what_was_found_is_refused(
    name: str, change: Callable[[bytes], bytes | None], tmp_path: pathlib.Path
) -> None:
    (reader,) = (reader for reader in READERS if reader.name == name)
    seeds, read = reader.opened(tmp_path)
    changed = [content for content in map(change, seeds) if content is not None]
    assert changed
    for content in changed:
        with pytest.raises(REFUSALS):
            read(content)
