"""Models, checkpoints and corpora are data: reading one executes nothing, names in it do not leave
its folder, and what its headers claim is not allocated. `SECURITY.md` has the limits."""

import contextlib
import gzip
import io
import json
import os
import pathlib
import re
import resource
import struct
import subprocess
import sys
import tarfile
import types
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from readers import MEL, READERS

import data
from data.audio import mel_conventions, reading
from data.builders import archives
from wavenet_jax import InputError

ROOT = pathlib.Path(__file__).parents[1]
BY_NAME = {reader.name: reader for reader in READERS}


# -- nothing is executed -----------------------------------------------------------


def variants(value: Any, text: str) -> Iterator[Any]:
    """JSON with the strings under one key replaced, once for each key, and those in lists."""
    keys = sorted({key for _, key in strings(value)}, key=str)
    for key in keys:
        copy = json.loads(json.dumps(value))
        for holder, place in list(strings(copy)):
            if place == key:
                holder[place] = text
        yield copy


def strings(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        if isinstance(value[key], str):
            yield value, key
        elif isinstance(value[key], dict | list):
            yield from strings(value[key])


DESCRIBED = [
    *("corpus's features.json", "corpus's dataset_info.json", "corpus's metadata.json"),
    *("model's config.json", "checkpoint's config/metadata", "checkpoint's _CHECKPOINT_METADATA"),
    "checkpoint's state/_METADATA",
]


@pytest.mark.parametrize("name", DESCRIBED)
def test_no_module_that_a_file_names_is_imported(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as by TFDS, which imports the module of each class in features.json."""
    (tmp_path / "hostile.py").write_text("class Hostile: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hostile", raising=False)
    (content, *_), read = BY_NAME[name].opened(tmp_path)
    tried = list(variants(json.loads(content), "hostile.Hostile"))
    for changed in tried:
        with contextlib.suppress(data.DataError, InputError):
            read(json.dumps(changed).encode())
        assert "hostile" not in sys.modules
    assert len(tried) >= 2


def test_a_class_of_another_module_is_named(tmp_path: pathlib.Path) -> None:
    (content, *_), read = BY_NAME["corpus's features.json"].opened(tmp_path)
    path = tmp_path / "fsdd" / "1.0.0" / "features.json"
    changed = content.replace(b"core.features.text_feature.Text", b"core.features.image.Image")
    with pytest.raises(data.DataError, match=f"{path} names the class '.*Image', which no corpus"):
        read(changed)
    # The older notation of TFDS.
    with pytest.raises(data.DataError, match=f"{path} names the class None"):
        read(b'{"type": "hostile.Hostile", "content": {}}')


def test_no_pickle_is_read(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "mel.npy", np.array([os.system] * 80, object), allow_pickle=True)
    with pytest.raises(data.DataError, match="Python objects"):
        mel_conventions.read(tmp_path / "mel.npy", MEL, "espnet")


# -- names -------------------------------------------------------------------------


def tar_of(path: pathlib.Path, **fields: Any) -> pathlib.Path:
    """With one member, of five bytes unless the fields say otherwise."""
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("a.wav")
        member.size = 5
        for name, value in fields.items():
            setattr(member, name, value)
        archive.addfile(member, io.BytesIO(b"sound"))
    return path


def zip_of(path: pathlib.Path, name: str, content: bytes = b"sound") -> pathlib.Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def unpack(path: pathlib.Path, inside: pathlib.Path) -> list[str]:
    """The files of an archive, unpacked within a folder."""
    inside.mkdir()
    with archives.opened(path, inside) as folder:
        found = [x.relative_to(folder).as_posix() for x in folder.rglob("*") if x.is_file()]
    assert not list(inside.iterdir())
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../a.wav"},
        {"name": "a/../../a.wav"},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.SYMTYPE, "linkname": "b.wav"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
        {"type": tarfile.FIFOTYPE},
    ],
)
def test_no_member_of_a_tar_archive_leaves_it(
    fields: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    path = tar_of(tmp_path / "a.tar.gz", **fields)
    with pytest.raises(data.DataError, match="outside the destination|a link or a device"):
        unpack(path, tmp_path / "deep")
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "deep"]


def test_names_that_are_absolute_lose_their_root(tmp_path: pathlib.Path) -> None:
    tar = tar_of(tmp_path / "a.tar.gz", name="/x/a.wav")
    assert unpack(tar, tmp_path / "tar") == ["x/a.wav"]
    assert unpack(zip_of(tmp_path / "a.zip", "/x/a.wav"), tmp_path / "zip") == ["x/a.wav"]
    assert unpack(zip_of(tmp_path / "b.zip", "../../b.wav"), tmp_path / "up") == ["b.wav"]


OUTSIDE = {
    "ljspeech": (b"LJ001-0002", b"../outside"),
    "maestro": (b"x/a.wav", b"../outside.wav"),
    "magnatagatune": (b"c/b.mp3", b"0/../../outside.mp3"),
    "nsynth": (b'"b"', b'"../../outside"'),
    "librispeech": (b"84-12-0001", b"84-12-/../../../../outside"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_in_a_table_leaves_the_corpus(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "corpus").mkdir()
    for suffix in ("wav", "mp3", "flac"):
        (tmp_path / f"outside.{suffix}").touch()
        (tmp_path / "corpus" / f"outside.{suffix}").touch()
    (content, *_), read = BY_NAME[name].opened(tmp_path / "corpus")
    assert OUTSIDE[name][0] in content
    with pytest.raises(data.DataError, match="which is no file of the corpus|it must be 84-12"):
        read(content.replace(*OUTSIDE[name]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"{DATASET}-", b"../../{DATASET}-", "names files"),
        (b'"name": "train"', b'"name": "../train"', "names a split"),
        (b'"name": "fsdd"', b'"name": "../fsdd"', "is of '../fsdd'"),
    ],
)
def test_no_name_in_a_prepared_corpus_leaves_it(
    old: bytes, new: bytes, message: str, tmp_path: pathlib.Path
) -> None:
    (content, *_), read = BY_NAME["corpus's dataset_info.json"].opened(tmp_path)
    assert old in content
    with pytest.raises(data.DataError, match=message):
        read(content.replace(old, new))
    (content, *_), read = BY_NAME["corpus's features.json"].opened(tmp_path)
    with pytest.raises(data.DataError, match="names the features"):
        read(content.replace(b'"digit":', b'"../digit":'))


def test_no_name_in_a_bucket_leaves_the_cache(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names may have any parts."""
    (tmp_path / "evil").write_bytes(b"x")

    class Named(pathlib.PosixPath):
        def relative_to(self, *other: Any) -> pathlib.PurePosixPath:
            return pathlib.PurePosixPath("../../../evil")

        def stat(self, **kwargs: Any) -> Any:
            return types.SimpleNamespace(length=1)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("data.buckets._files_below", lambda folder: [Named(tmp_path / "evil")])
    with pytest.raises(data.DataError, match=r"\.\./evil is no file of the corpus"):
        data.load("fsdd", "gs://a-bucket/corpora", "train")
    assert not (tmp_path / "cache").exists()


def test_names_of_recordings_become_file_names_within_a_folder(tmp_path: pathlib.Path) -> None:
    from experiments.studies import copy_synthesis

    sound = {"recorded": np.arange(800, dtype=np.int16)}
    (tmp_path / "out").mkdir()
    for name in ("../../up.wav", "/etc/x", ".."):
        copy_synthesis._write(tmp_path / "out", name, sound, 8000)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(list((tmp_path / "out").iterdir())) == 6


# -- what headers claim -------------------------------------------------------------


def flac(path: pathlib.Path, num_samples: int, rate_hz: int = 16000) -> pathlib.Path:
    """A short one, whose header promises another length."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(-999, 999, 5000).astype(np.int16)
    soundfile.write(file, noise, rate_hz, format="FLAC")
    content = bytearray(file.getvalue())
    # STREAMINFO (RFC 9639, section 8.2) after 8 bytes; the length is 36 bits, 108 bits into it.
    content[21] = content[21] & 0xF0 | num_samples >> 32
    content[22:26] = struct.pack(">I", num_samples & 0xFFFFFFFF)
    path.write_bytes(bytes(content))
    return path


def wav(path: pathlib.Path, *, rate_hz: int, channels: int) -> pathlib.Path:
    samples = bytes(range(256)) * 4 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, 2**31, 2 * channels & 0xFFFF, 16)
    parts = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(samples))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(parts) + len(samples)) + parts + samples)
    return path


def npy(path: pathlib.Path, shape: tuple[int, ...]) -> pathlib.Path:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(64))
    return path


def read_sound(path: pathlib.Path, **options: Any) -> None:
    reading.read(path, mono=True, notices=reading.Notices(), **options)


def of_reader(name: str, change: Callable[[bytes], bytes]) -> Callable[[pathlib.Path], Any]:
    """Reads the file of a reader after a change."""

    def run(folder: pathlib.Path) -> Any:
        (content, *_), read = BY_NAME[name].opened(folder)
        return read(change(content))

    return run


def in_config(section: str, **fields: Any) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        config = json.loads(content)
        config[section] |= fields
        return json.dumps(config).encode()

    return change


def stored_as(**fields: Any) -> Callable[[pathlib.Path], Any]:
    """A checkpoint, an array of which is described in its file by other fields."""

    def run(folder: pathlib.Path) -> Any:
        import tensorstore

        reader = BY_NAME["checkpoint's checksums/metadata"]
        (content, *_), read = reader.opened(folder)
        base = f"file://{folder}/run/checkpoints/4/state/"
        store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
        key = "ema_params.params.head.bias/.zarray"
        described = json.loads(store.read(key).result().value) | fields
        store.write(key, json.dumps(described).encode()).result()
        return read(content)

    return run


def bomb(folder: pathlib.Path) -> None:
    """A zip archive of 2 GiB of zeros, written as 64 MiB."""
    path = zip_of(folder / "a.zip", "a.wav", bytes(2**26))
    sizes = struct.pack("<I", 2**26), struct.pack("<I", 2**31)
    path.write_bytes(path.read_bytes().replace(*sizes))
    unpack(path, folder / "in")


def long_name(folder: pathlib.Path) -> None:
    """A tar archive, the second name in which has 2 GiB."""
    member = tarfile.TarInfo("././@LongLink")
    member.size, member.type = 2**31, tarfile.GNUTYPE_LONGNAME
    headers = (tarfile.TarInfo("a.wav"), member)
    content = b"".join(each.tobuf(tarfile.GNU_FORMAT) for each in headers)
    (folder / "a.tar.gz").write_bytes(gzip.compress(content + bytes(2**20)))
    unpack(folder / "a.tar.gz", folder / "in")


NESTED = b'{"a":' * 10**5
HUGE = {
    "a flac file of 2^36 samples": (
        lambda folder: read_sound(flac(folder / "a.flac", 2**36 - 1)),
        "has a header of 68719476735 samples",
    ),
    "a flac file of 2^29 samples": (
        lambda folder: read_sound(flac(folder / "a.flac", 2**29)),
        "is truncated: its header gives 536870912 samples|cannot be decoded to its end",
    ),
    "a wav file of 10^9 Hz": (
        lambda folder: read_sound(wav(folder / "a.wav", rate_hz=10**9, channels=1)),
        "1000000000 Hz, beyond the",
    ),
    "a wav file of 65535 channels": (
        lambda folder: read_sound(wav(folder / "a.wav", rate_hz=8000, channels=65535)),
        "cannot be read as audio",
    ),
    "a recording of 1 Hz": (
        lambda folder: read_sound(flac(folder / "a.flac", 5000, 1), sample_rate_hz=2**20),
        "which are 5242880000 at 1048576 Hz, more than 1073741824",
    ),
    "a mel of 10^12 frames": (
        lambda folder: mel_conventions.read(npy(folder / "a.npy", (10**12, 80)), MEL, "espnet"),
        "is no whole npy file .ValueError: mmap length is greater",
    ),
    "a mel of 2^80 values": (
        lambda folder: mel_conventions.read(npy(folder / "a.npy", (2**40, 2**40)), MEL, "espnet"),
        "is no whole npy file .ValueError: array is too big",
    ),
    "a zip file that holds 2 GiB": (bomb, "holds more than 100 times its own size"),
    "a name of 2 GiB in a tar archive": (long_name, "a header of 2147483648 bytes"),
    "nested JSON beside a corpus": (
        of_reader("corpus's metadata.json", lambda content: NESTED),
        "metadata.json is no JSON .RecursionError",
    ),
    "nested JSON of a model": (
        of_reader("model's config.json", lambda content: NESTED),
        "config.json is no JSON .RecursionError",
    ),
    "nested JSON of a checkpoint": (
        of_reader("checkpoint's config/metadata", lambda content: NESTED),
        "cannot be read .RecursionError",
    ),
    "10^17 classes": (
        of_reader(
            "corpus's features.json",
            lambda content: content.replace(b'"10"', b'"100000000000000000"'),
        ),
        "gives '100000000000000000' classes of a label",
    ),
    "a safetensors header of 2^60 bytes": (
        of_reader(
            "model's model.safetensors", lambda content: struct.pack("<Q", 2**60) + content[8:]
        ),
        "is no safetensors file",
    ),
    "a filter of 10^5 taps": (
        of_reader("model's config.json", in_config("audio", filter_taps=[0.5] * 10**5)),
        "give at most 101 finite taps",
    ),
    "a dilation of 2^60": (
        of_reader("model's config.json", in_config("model", dilations=[2**60, 2, 4])),
        "receptive field is .*: give at most 4194304 samples",
    ),
    "10^5 layers": (
        of_reader("model's config.json", in_config("model", dilations=[1] * 10**5)),
        "number of layers is 100000: give at most 1000",
    ),
    "10^12 channels": (
        of_reader("model's config.json", in_config("model", head_channels=10**12)),
        "head_channels is 1000000000000: give at most 1048576",
    ),
    "a stored array of 10^11 numbers": (
        stored_as(shape=[10**11]),
        "the array ema_params/params/head/bias is not stored with the shape",
    ),
    "a chunk of 10^11 numbers": (
        stored_as(chunks=[10**11]),
        "the array ema_params/params/head/bias is stored in chunks",
    ),
}  # fmt: skip
ROOM_BYTES = 2**30


def main(work: pathlib.Path) -> None:
    """Prints how each of `HUGE` ends, with `ROOM_BYTES` of memory more than is in use before."""
    BY_NAME["model's config.json"].opened(work / "model")  # compiles, starts threads
    BY_NAME["corpus's metadata.json"].opened(work / "corpus")
    in_use = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + ROOM_BYTES,) * 2)
    for name, (run, _) in HUGE.items():
        (work / name).mkdir()
        try:
            run(work / name)
            ended = "it was read"
        except (data.DataError, InputError) as error:
            ended = " ".join(str(error).split())
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
        print(json.dumps([name, ended]), flush=True)


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ended = subprocess.run(
        [sys.executable, __file__, tmp_path_factory.mktemp("huge")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        check=False,
    )
    return dict(json.loads(line) for line in ended.stdout.splitlines() if line.startswith(b"["))


@pytest.mark.parametrize("name", HUGE)
def test_what_a_header_claims_is_not_allocated(name: str, endings: dict[str, str]) -> None:
    assert re.search(HUGE[name][1], endings.get(name, "the process ended"))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
