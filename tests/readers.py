"""Everything that reads what others wrote, each with valid files to begin from, and mutations.

`test_fuzz.py` tries a few mutations of each; `fuzz.py` looks for more, for hours. A reader takes
any bytes: it returns, or raises one of `REFUSALS`, which programs print as one sentence.
"""

import csv
import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import random
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
from starlette.testclient import TestClient

import data
from data.audio import mel_conventions, reading
from data.builders import archives, labels
from data.datasets.cmu_arctic import cmu_arctic_dataset_builder as cmu_arctic
from data.datasets.folder.tables import read_table
from data.datasets.librispeech import librispeech_dataset_builder as librispeech
from data.datasets.ljspeech import ljspeech_dataset_builder as ljspeech
from data.datasets.maestro import maestro_dataset_builder as maestro
from data.datasets.magnatagatune import magnatagatune_dataset_builder as magnatagatune
from data.datasets.nsynth import nsynth_dataset_builder as nsynth
from data.datasets.timit import timit_dataset_builder as timit
from experiments.common import reporting, restore
from experiments.common.run import Run
from experiments.listening import answers, description, preparing, serving
from experiments.listening.collecting import Collection
from wavenet_jax import InputError, model_folder
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.model_folder import SavedNetwork
from wavenet_jax.prosody import networks

REFUSALS = (data.DataError, InputError, OSError)
"""What `experiments.common.cli.run` prints as one sentence."""

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "checkpoint_v1" / "generator"
LABEL = "x^sil-a+b=c@1_2/A:0"
MEL = data.MelConfig(16000, 128, 1024, 80, 80.0, 7600.0)


@dataclasses.dataclass(frozen=True)
class Reader:
    """What reads a file.

    Attributes:
      name: for people.
      seeds: makes valid files, bytes each.
      read: the reader, given the path of a file with the bytes.
      file: its name, where it matters.
      prepare: makes what is beside the file, in the same folder.
      sign: what makes mutated content whole again, so that it passes the checksums.
    """

    name: str
    seeds: Callable[[pathlib.Path], list[bytes]]
    read: Callable[[pathlib.Path], Any]
    file: str = "file"
    prepare: Callable[[pathlib.Path], object] = lambda folder: None
    sign: Callable[[bytes, pathlib.Path], bytes] = lambda content, folder: content

    def opened(self, folder: pathlib.Path) -> tuple[list[bytes], Callable[[bytes], Any]]:
        """The seeds, and a function that reads content, with its files in a folder."""
        shutil.copytree(_prepared(self.prepare).name, folder, dirs_exist_ok=True)
        seeds = self.seeds(folder)
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)

        def read(content: bytes) -> Any:
            path.write_bytes(self.sign(content, folder))
            return self.read(path)

        for seed in seeds:
            read(seed)  # which no reader refuses
        return seeds, read


@functools.cache
def _prepared(prepare: Callable[[pathlib.Path], object]) -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="prepared.")
    prepare(pathlib.Path(folder.name))
    return folder


# -- sound ------------------------------------------------------------------------


def _sounds(folder: pathlib.Path) -> list[bytes]:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (900, 2))
    kinds = [
        *(("WAV", kind) for kind in ("PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM")),
        *(("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
        *(("NIST", "PCM_16"), ("AIFF", "PCM_16"), ("W64", "PCM_16"), ("CAF", "ALAC_16")),
    ]
    made = []
    for container, subtype in kinds:
        file = io.BytesIO()
        soundfile.write(file, noise, 16000, format=container, subtype=subtype)
        made.append(file.getvalue())
    return made


def _read_sound(path: pathlib.Path) -> None:
    reading.read_header(path)
    reading.read(path, sample_rate_hz=8000, mono=True, notices=reading.Notices())


def _read_mel(path: pathlib.Path) -> None:
    mel_conventions.read(path, MEL, "espnet")


def _mels(folder: pathlib.Path) -> list[bytes]:
    del folder
    values = np.random.default_rng(0).normal(-6, 2, (9, 80)) / np.log(10)
    made = []
    for array in (values.astype(np.float32), values.T.astype(">f8")):
        file = io.BytesIO()
        np.save(file, array)
        made.append(file.getvalue())
    return made


# -- labels and tables ------------------------------------------------------------


def _texts(*texts: str) -> Callable[[pathlib.Path], list[bytes]]:
    return lambda folder: [text.encode() for text in texts]


def _read_hts(path: pathlib.Path) -> None:
    data.hts.utterance(path, sample_rate_hz=16000)


def _read_questions(path: pathlib.Path) -> None:
    asked = data.hts.Questions.read(path)
    asked.answer(LABEL, "a label")
    asked.answer("x^x-pau+x=x@xx" + "ab" * 100, "a label")


def _read_spans(spans: Callable[[pathlib.Path], Any]) -> Callable[[pathlib.Path], None]:
    return lambda path: labels.check(path, spans(path), 3.0, tile=True)


def _clips(builder: type, file: str) -> Callable[[pathlib.Path], Any]:
    """The recordings of the corpus whose table is a file."""

    def read(path: pathlib.Path) -> Any:
        made = object.__new__(builder)
        return made._clips(path.parents[len(pathlib.Path(file).parts) - 1])

    return read


def _write(*names: str) -> Callable[[pathlib.Path], None]:
    def prepare(folder: pathlib.Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")

    return prepare


def _csv(*rows: tuple[str, ...], delimiter: str = ",") -> Callable[[pathlib.Path], list[bytes]]:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return lambda folder: [file.getvalue().encode()]


_NOTE = {"pitch": 60, "velocity": 25, **dict.fromkeys(nsynth.LABELS, "bass")}


# -- archives ---------------------------------------------------------------------


def _tars(folder: pathlib.Path) -> list[bytes]:
    made = []
    for mode, form in (("w", tarfile.USTAR_FORMAT), ("w", tarfile.PAX_FORMAT), ("w:gz", None)):
        file = io.BytesIO()
        kind = {} if form is None else {"format": form}
        with tarfile.open(fileobj=file, mode=mode, **kind) as archive:
            for name in ("a/b.wav", "a/ä" + "long" * 20 * (form != tarfile.USTAR_FORMAT)):
                member = tarfile.TarInfo(name)
                member.size = 5
                archive.addfile(member, io.BytesIO(b"sound"))
        made.append(file.getvalue())
    return made


def _zips(folder: pathlib.Path) -> list[bytes]:
    made = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            archive.writestr("a/b.wav", b"sound" * 9)
            archive.writestr("a/c.wav", b"")
        made.append(file.getvalue())
    return made


def _read_archive(path: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as beside:
        with archives.opened(path, pathlib.Path(beside)) as folder:
            for found in folder.rglob("*"):
                assert found.resolve().is_relative_to(folder.resolve()), found
        assert not list(pathlib.Path(beside).iterdir())


# -- prepared corpora -------------------------------------------------------------


def _corpus(folder: pathlib.Path) -> None:
    noise = np.random.default_rng(0)
    (folder / "in").mkdir()
    for index in (0, 5, 10, 11):
        sound = noise.integers(-3000, 3000, 300 + index).astype(np.int16)
        soundfile.write(folder / "in" / f"7_ä_{index}.wav", sound, 8000)
    data.build("fsdd", data_dir=folder, source=folder / "in")


def _of_corpus(file: str) -> Reader:
    def read(path: pathlib.Path) -> None:
        corpus = data.load("fsdd", path.parents[2], "train")
        corpus.label(0, "digit")
        corpus.recording(len(corpus) - 1)

    path = f"fsdd/1.0.0/{file}"
    seeds = lambda folder: [(folder / path).read_bytes()]  # noqa: E731
    return Reader(f"corpus's {file}", seeds, read, path, _corpus)


# -- models -----------------------------------------------------------------------


def _trained(folder: pathlib.Path) -> None:
    """A run with one checkpoint of today's format, and its model's folder."""
    with Checkpoints(FIXTURE, read_only=True) as saved:
        old = saved.restore()
    description = Run.from_description(old.description, old.model_config).to_dict()
    with Checkpoints(folder / "run") as saved:
        saved.save(old.state, data_position=old.data_position, description=description)
        saved.wait()
    config = networks.ProsodyConfig("duration", 3, dilations=(1,), channels=4)
    network = SavedNetwork(config, networks.init_state(config).params, {"classes": {}})
    model = model_folder.SavedModel(old.model_config, old.state.ema_params, 4, description)
    model_folder.write(folder / "model", model, networks={"duration": network})


def _read_model(path: pathlib.Path) -> None:
    restore.load(path.parent)
    model_folder.read_network(path.parent, "duration")


def _signed_config(content: bytes, folder: pathlib.Path) -> bytes:
    """With the SHA-256 that it should have, so that the fields are read."""
    del folder
    try:
        config = json.loads(content)
        config.pop("sha256", None)
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
        return json.dumps(config | {"sha256": digest}).encode()
    except (ValueError, AttributeError, TypeError, RecursionError):
        return content


def _signed_arrays(content: bytes, folder: pathlib.Path) -> bytes:
    """The arrays' SHA-256 and size go to `config.json`."""
    path = folder / "model" / "config.json"
    config = json.loads(path.read_bytes())
    digest = hashlib.sha256(content).hexdigest()
    config["files"]["model.safetensors"] = {"bytes": len(content), "sha256": digest}
    path.write_bytes(_signed_config(json.dumps(config).encode(), folder))
    return content


def _of_model(file: str, sign: Callable[[bytes, pathlib.Path], bytes]) -> Reader:
    path = f"model/{file}"
    seeds = lambda folder: [(folder / path).read_bytes()]  # noqa: E731
    return Reader(f"model's {file}", seeds, _read_model, path, _trained, sign)


def _of_checkpoint(file: str) -> Reader:
    path = f"run/checkpoints/4/{file}"
    run = len(pathlib.Path(path).parts) - 2
    return Reader(
        f"checkpoint's {file}",
        lambda folder: [(folder / path).read_bytes()],
        lambda changed: restore.load(changed.parents[run]),
        path,
        _trained,
    )


def _histories(folder: pathlib.Path) -> list[bytes]:
    return [(FIXTURE / "history.jsonl").read_bytes()]


# -- listening tests --------------------------------------------------------------

_LISTENING = preparing.describe(
    "preference",
    ["a", "b"],
    ["t0", "t1", "t2"],
    num_listeners=2,
    num_repeats=1,
    sample_rate_hz=8000,
)


def _listening(folder: pathlib.Path) -> list[bytes]:
    description.write(_LISTENING, folder)
    return [(folder / description.FILE).read_bytes()]


def _answers(folder: pathlib.Path) -> list[bytes]:
    head = {"version": 1, "test": _LISTENING.id, "session": 1}
    lines = [head, {"trial": 0, "answer": [-1]}, {"trial": 3, "answer": [0]}]
    return ["".join(json.dumps(line) + "\n" for line in lines).encode()]


def _write_listener(folder: pathlib.Path) -> None:
    (folder / "ann.jsonl").write_bytes(answers.head_line(_LISTENING, 1))


@functools.cache
def _served(folder: pathlib.Path) -> TestClient:
    return TestClient(serving.app(Collection(_LISTENING, folder), folder))


def _send_answer(path: pathlib.Path) -> None:
    answer = _served(path.parent).post("/answers", content=path.read_bytes())
    assert answer.status_code in (200, 400, 404), answer.text


# fmt: off
READERS = (
    Reader("sound", _sounds, _read_sound, "a.wav"),
    Reader("mel", _mels, _read_mel, "a.npy"),
    Reader(
        "hts labels",
        _texts(f"0 100000 {LABEL}\n100000 900000 {LABEL}\n",
               f"0 9999 {LABEL}[2]\n9999 99999 {LABEL}[3]\n", f"{LABEL}\n{LABEL}\n"),
        _read_hts,
    ),
    Reader(
        "hts questions",
        _texts('QS "C-a" {*-a+*,b^*?c}\nCQS "n" {@(\\d+)_}\nCQS n2 {A:([\\d\\.]+)}\nQS LL-x {x^}'),
        _read_questions,
    ),
    Reader("timit labels", _texts("0 3050 h#\n3050 4559 sh\n"), _read_spans(timit._spans)),
    Reader("timit text", _texts("0 63488 She had your suit.\n"), timit._text),
    Reader("arctic labels", _texts("#\n0.5 125 pau\n1.25 125 a ; x\n"),
           _read_spans(cmu_arctic._spans)),
    Reader("arctic texts", _texts('( arctic_a0001 "Author." )\n( b "\\"I\\"." )\n'),
           cmu_arctic._texts),
    Reader(
        "table",
        _csv(("path", "label", "text"), ("a.wav", "x", "one, two"), ("b/c.wav", "y", 'say "no"')),
        lambda path: read_table(path, ["a.wav", "b/c.wav"]),
    ),
    Reader(
        "ljspeech",
        _texts("LJ001-0001|Printing, 1|Printing, one\nLJ001-0002|in|\n"),
        _clips(ljspeech.Builder, "metadata.csv"),
        "metadata.csv",
        _write("wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav"),
    ),
    Reader(
        "librispeech",
        _texts("84-12-0000 GO\n84-12-0001 DO YOU\n"),
        _clips(librispeech.Builder, "dev-clean/84/12/84-12.trans.txt"),
        "dev-clean/84/12/84-12.trans.txt",
        _write("dev-clean/84/12/84-12-0000.flac", "dev-clean/84/12/84-12-0001.flac"),
    ),
    Reader(
        "maestro",
        _csv(maestro.COLUMNS, ("A", "B", "train", "2004", "x/a.wav")),
        _clips(maestro.Builder, "maestro-v3.0.0.csv"),
        "maestro-v3.0.0.csv",
        _write("x/a.wav"),
    ),
    Reader(
        "magnatagatune",
        _csv(("clip_id", "loud", "mp3_path"), ("1", "1", "0/a.mp3"), ("2", "0", "c/b.mp3"),
             delimiter="\t"),
        _clips(magnatagatune.Builder, magnatagatune.ANNOTATIONS),
        magnatagatune.ANNOTATIONS,
        _write("0/a.mp3", "c/b.mp3"),
    ),
    Reader(
        "nsynth",
        _texts(json.dumps({"a": _NOTE, "b": _NOTE})),
        _clips(nsynth.Builder, "examples.json"),
        "examples.json",
        _write("audio/a.wav", "audio/b.wav"),
    ),
    Reader("tar", _tars, _read_archive, "a.tar"),
    Reader("zip", _zips, _read_archive, "a.zip"),
    *map(_of_corpus, ("features.json", "dataset_info.json", "metadata.json", "digit.labels.txt",
                      "fsdd-train.array_record-00000")),
    _of_model("config.json", _signed_config),
    _of_model("model.safetensors", _signed_arrays),
    *map(_of_checkpoint, ("config/metadata", "checksums/metadata", "data/metadata",
                          "metrics/metrics", "_CHECKPOINT_METADATA", "state/_METADATA",
                          "state/manifest.ocdbt")),
    Reader("listening test", _listening, lambda path: description.read(path.parent),
           description.FILE),
    Reader("answers", _answers, lambda path: answers.read(path, _LISTENING), "ann.jsonl"),
    Reader("answer sent to a page", _texts('{"listener": "ann", "trial": 0, "answer": [-1]}'),
           _send_answer, prepare=_write_listener),
    Reader(
        "webMUSHRA's table",
        _csv(("test", "session_uuid", "trial_id", "rating_stimulus", "rating_score"),
             ("x", "u1", "t1", "reference", "100"), ("x", "u1", "t1", "C1", "5.5")),
        answers.read_webmushra,
    ),
    Reader("history", _histories, lambda path: reporting.history(path.parent), "history.jsonl"),
)
# fmt: on
"""Every reader."""


# -- mutations --------------------------------------------------------------------

TOKENS = (
    *(b"", b"\0", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"9" * 400, b"-1", b"1e999"),
    *(b"NaN", b"../../", b"/etc/passwd", b"\n", b"\r", b"\t", b" ", b'"', b"\\", b",", b"|"),
    *(b"[" * 3000, b"{", b"}", b"*" * 40, b"(\\d+)", b"\xe9", b"\xef\xbb\xbf", "٣".encode()),
)
LEAVES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 10**30, 10**400, -(10**12), 0.5, -1.5, 1e300, float("inf")),
    *(float("nan"), "", "x", "../../x", "hostile.Class", "a\0b", "\ud800", [], {}, [[]], {"x": 1}),
    *([1] * 5000, [0.5] * 5000, "9" * 5000),
)
"""What a value of JSON becomes."""


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Content with some places changed: bytes, or values where it is JSON."""
    for _ in range(draw.choice((1, 1, 2, 5))):
        if draw.random() < 0.5:
            content = _with_other_value(content, draw) or content
            continue
        place = draw.randrange(len(content) + 1)
        length = draw.choice((0, 0, 1, 4, 8, 100))
        kind = draw.randrange(4)
        if kind == 0:
            put = bytes(draw.randrange(256) for _ in range(max(1, length % 9)))
        elif kind == 1:
            put = draw.choice(TOKENS)
        elif kind == 2:
            put = b""
        else:
            start = draw.randrange(len(content) + 1)
            put = content[start : start + length]
        content = content[:place] + put + content[place + length :]
    return content


def _with_other_value(content: bytes, draw: random.Random) -> bytes | None:
    """JSON with one value or key changed, removed or doubled; None for what is no JSON."""
    if content[:1] not in (b"{", b"["):
        return None
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return None
    places = list(_places(whole))
    if not places:
        return None
    holder, key = draw.choice(places)
    kind = draw.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice(("../x", "x", "", "type", "9" * 300))] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.insert(0, holder[key])
    else:
        holder[key] = draw.choice(LEAVES)
    return json.dumps(whole).encode()


def _places(value: Any) -> Any:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
