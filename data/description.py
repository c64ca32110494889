"""The files that describe a prepared corpus, checked before TFDS reads them.

TFDS imports the module of every class that `features.json` names, and opens the files that
`dataset_info.json` names. So both are held to what `builders.base` writes: a few classes by name,
files within the corpus's own folder. `metadata.json` is of this project.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from data import limits
from data.errors import DataError
from data.text_files import json_object

FILES = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}"
"""How the files of a corpus are named, in TFDS's notation."""

_CLASSES = {
    "features_dict.FeaturesDict": "featuresDict",
    "tensor_feature.Tensor": "tensor",
    "scalar.Scalar": "tensor",
    "text_feature.Text": "text",
    "class_label_feature.ClassLabel": "classLabel",
    "sequence_feature.Sequence": "sequence",
}
"""The classes in `tensorflow_datasets.core.features`, and the field that holds what each is."""

_TENSORS = {
    "shape": ({}, {"dimensions": ["-1"]}),
    "dtype": ("int16", "int64", "float32"),
    "encoding": ("none", "bytes"),
}
_INFO = {
    *("citation", "description", "disableShuffling", "downloadSize", "fileFormat", "location"),
    *("moduleName", "name", "releaseNotes", "splits", "version"),
}
_SPLIT = {"filepathTemplate", "name", "numBytes", "shardLengths"}


def check(folder: pathlib.Path) -> None:
    """Refuses a corpus that is described otherwise than this project describes its own.

    Args:
      folder: Of a version of the corpus, `data_dir/NAME/VERSION`.

    Raises:
      DataError: names the file, and what is wrong in it.
    """
    path = folder / "features.json"
    _check_feature(path, json_object(path))
    path = folder / "dataset_info.json"
    lengths = _checked_splits(path, json_object(path), folder.parent.name)
    path = folder / "metadata.json"
    _check_metadata(path, json_object(path), lengths)


def _check_feature(path: pathlib.Path, node: Any) -> None:
    name = node.get("pythonClassName") if isinstance(node, dict) else None
    field = _CLASSES.get(str(name).removeprefix("tensorflow_datasets.core.features."))
    if field is None or not str(name).startswith("tensorflow_datasets."):
        _refuse(path, f"names the class {name!r}, which no corpus of this project has")
    content = node.get(field, {})
    if node.keys() - {"pythonClassName", "description", field} or not isinstance(content, dict):
        _refuse(path, f"describes a {name} with {', '.join(map(repr, node))}")
    inner: Any = []
    if field == "featuresDict":
        inner = content.get("features", {})
        if not isinstance(inner, dict) or not all(re.fullmatch(r"\w{1,99}", key) for key in inner):
            _refuse(path, f"names features {', '.join(map(repr, inner))}")
        inner = inner.values()
    elif field == "sequence":
        inner = [content.get("feature")]
    elif field == "tensor":
        for key, value in content.items():
            if value not in _TENSORS.get(key, ()):
                _refuse(path, f"describes a {name} with the {key} {value!r}")
    elif field == "classLabel":
        _number(path, "classes of a label", content.get("numClasses", 0), limits.MAX_CLASSES)
    for each in inner:
        _check_feature(path, each)


def _checked_splits(path: pathlib.Path, info: Mapping[str, Any], name: str) -> dict[str, int]:
    """The number of pieces of each split."""
    if info.get("name") != name or info.get("fileFormat") != "array_record":
        _refuse(path, f"is of {info.get('name')!r} in {info.get('fileFormat')!r}")
    splits = info.get("splits")
    if info.keys() - _INFO or not isinstance(splits, list):
        _refuse(path, f"has the fields {', '.join(map(repr, info))}")
    lengths = {}
    for split in splits:
        if not isinstance(split, dict) or split.keys() - _SPLIT:
            _refuse(path, f"describes a split by {split!r:.60}")
        if not re.fullmatch(r"\w{1,99}", str(split.get("name"))):
            _refuse(path, f"names a split {split.get('name')!r}")
        if split.get("filepathTemplate") != FILES:
            _refuse(path, f"names files {split.get('filepathTemplate')!r}, not {FILES}")
        shards = split.get("shardLengths")
        if not isinstance(shards, list):
            _refuse(path, f"gives {split['name']} the shards {shards!r:.60}")
        lengths[split["name"]] = sum(
            _number(path, "recordings of a file", x, limits.MAX_SAMPLES) for x in shards
        )
    return lengths


def _check_metadata(
    path: pathlib.Path, metadata: Mapping[str, Any], num_pieces: Mapping[str, int]
) -> None:
    _number(path, "samples a second", metadata.get("sample_rate_hz"), limits.MAX_RATE_HZ, 1)
    questions = metadata.get("questions") or ()
    if not isinstance(questions, list | tuple) or not all(isinstance(x, str) for x in questions):
        _refuse(path, "has questions that are no list of lines")
    index = metadata.get("index")
    if not isinstance(index, dict) or index.keys() != num_pieces.keys():
        _refuse(path, f"has no index of the splits {', '.join(num_pieces)}")
    for split, columns in index.items():
        columns = columns if isinstance(columns, dict) else {}
        names, lengths = (columns.get(key) for key in ("recording", "length"))
        if not isinstance(names, list) or not isinstance(lengths, list):
            _refuse(path, f"has no index of {split}")
        if not len(names) == len(lengths) == num_pieces[split] > 0:
            _refuse(path, f"does not name the {num_pieces[split]} pieces of {split}")
        if not all(isinstance(name, str) for name in names):
            _refuse(path, f"names a recording of {split} by no text")
        for length in lengths:
            _number(path, "samples of a piece", length, limits.MAX_SAMPLES, 1)


def _number(path: pathlib.Path, what: str, value: Any, most: int, least: int = 0) -> int:
    """A whole number of JSON, which protobuf writes as a text."""
    is_number = isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value)
    if (type(value) is not int and not is_number) or not least <= int(value) <= most:
        _refuse(path, f"gives {value!r:.40} {what}, not {least} to {most}")
    return int(value)


def _refuse(path: pathlib.Path, fault: str) -> NoReturn:
    raise DataError(
        f"{path} {fault}: it was not written here, or is damaged; prepare the corpus again, or "
        "copy it again"
    )
