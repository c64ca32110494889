"""Base class of all corpora: recordings cut into pieces and streamed to shards.

No window spans two *recordings*. A recording is stored as consecutive
*pieces*, so that reading a window never decodes an hour of sound. The corpus's
metadata lists the pieces in storage order, so that a reader knows every
recording's length without decoding any.
"""

import contextlib
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.core import example_serializer, naming
from tensorflow_datasets.core import splits as tfds_splits

from data import description
from data.audio.reading import Notices
from data.errors import DataError

Example = dict[str, Any]

PIECES_PER_SHARD = 1024


class AudioDatasetBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that stores each split's recordings in the order of their generation.

    Subclasses give `_split_generators` (an iterable of recordings for each
    split: the features that they declare, with `audio` int16 `[N]`, `recording`
    and `start`) and return `_recordings_info` from `_info`.

    Attributes:
      LICENCE: Of the recordings, as their source states it.
      HOMEPAGE: Address of their source; "" where there is none.
    """

    LICENCE: str
    HOMEPAGE: str
    VERSION = tfds.core.Version("1.0.0")
    PIECE_S: float = 20.0

    def __init__(
        self, *, data_dir: str, source: pathlib.Path | None = None, options: Mapping[str, Any]
    ) -> None:
        """`source` is the unpacked folder of recordings, of a corpus that has one."""
        self.source = source
        self.options = options
        self.notices = Notices()
        super().__init__(data_dir=data_dir)

    def _recordings_info(
        self, features: Mapping[str, Any], *, sample_rate_hz: int
    ) -> tfds.core.DatasetInfo:
        """The corpus's description: `features` beside those that every corpus has."""
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "audio": tfds.features.Tensor(
                        shape=(None,), dtype=np.int16, encoding="bytes", doc="PCM samples"
                    ),
                    "recording": tfds.features.Text(doc="stable name of the recording"),
                    "start": tfds.features.Scalar(
                        np.int64, doc="sample of the recording at which this piece starts"
                    ),
                    **features,
                }
            ),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(
                sample_rate_hz=sample_rate_hz,
                licence=self.options.get("licence") or self.LICENCE,
                homepage=self.HOMEPAGE,
                options={key: str(value) for key, value in sorted(self.options.items())},
            ),
        )

    def _generate_examples(self, *args: Any) -> Iterator[Example]:
        raise NotImplementedError("recordings come from _split_generators")

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Streams to disk: TFDS's own writer gathers a split in memory, and needs TensorFlow
        beyond 1 GB."""
        del download_config
        index, splits = {}, []
        for split, recordings in self._split_generators(dl_manager).items():
            index[split], info = self._write(split, self._pieces(recordings))
            splits.append(info)
        self.info.metadata["index"] = index
        self.info.set_splits(tfds_splits.SplitDict(splits))
        self.notices.log()

    def _write(
        self, split: str, pieces: Iterator[Example]
    ) -> tuple[dict[str, list[Any]], tfds_splits.SplitInfo]:
        features = self.info.features
        serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
        template = naming.ShardedFileTemplate(
            dataset_name=self.name,
            data_dir=self.data_path,
            split=split,
            filetype_suffix="array_record",
            template=description.FILES,
        )
        index: dict[str, list[Any]] = {"recording": [], "start": [], "length": []}
        shard_lengths: list[int] = []
        num_bytes = 0
        for first in pieces:
            path = template.sharded_filepath(shard_index=len(shard_lengths), num_shards=None)
            writer = array_record_module.ArrayRecordWriter(os.fspath(path), "group_size:1")
            rest = itertools.islice(pieces, PIECES_PER_SHARD - 1)
            shard_lengths.append(0)
            for piece in itertools.chain([first], rest):
                record = serializer.serialize_example(features.encode_example(piece))
                with _disk_errors(path):
                    writer.write(record)
                shard_lengths[-1] += 1
                num_bytes += len(record)
                index["recording"].append(piece["recording"])
                index["start"].append(int(piece["start"]))
                index["length"].append(len(piece["audio"]))
            with _disk_errors(path):
                writer.close()
        if not shard_lengths:
            raise DataError(f"{self.name} has no recordings for its {split} split: add some")
        info = tfds_splits.SplitInfo(
            name=split,
            shard_lengths=shard_lengths,
            num_bytes=num_bytes,
            filename_template=template,
        )
        return index, info

    def _pieces(self, recordings: Iterable[Example]) -> Iterator[Example]:
        rate = self.info.metadata["sample_rate_hz"]
        for recording in recordings:
            audio = recording["audio"]
            length = min(len(audio), int(self.PIECE_S * rate)) if self.PIECE_S else len(audio)
            for start in range(0, len(audio), length):
                yield recording | {
                    "audio": audio[start : start + length],
                    "start": recording["start"] + start,
                }

    def _log_download_bytes(self) -> None:
        """Nothing is downloaded."""

    _log_download_done = _log_download_bytes


@contextlib.contextmanager
def _disk_errors(path: os.PathLike[str]) -> Iterator[None]:
    """Raises array_record's RuntimeError of a full disk as OSError."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"{path} cannot be written: {error}") from error
