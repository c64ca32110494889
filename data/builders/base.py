"""Base class of all corpora: recordings cut into pieces and written to shards.

No window spans two *recordings*. The corpus's metadata lists their pieces in storage order, so
that a reader knows every recording's length without decoding any.
"""

import abc
import functools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import naming
from tensorflow_datasets.core import splits as tfds_splits

from data import description
from data.audio.reading import Notices
from data.builders import parallel, shards
from data.builders.records import Example, Piece, RecordEncoder, RecordingReader
from data.errors import DataError


class AudioDatasetBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that stores each split's recordings in the order in which they are listed.

    Subclasses list what is to be read (`_split_generators`, an iterable of items for each split),
    give the reader that turns an item into recordings (`_reader`), and return `_recordings_info`
    from `_info`.

    Attributes:
      LICENCE: Of the recordings, as their source states it.
      HOMEPAGE: Address of their source; "" where there is none.
    """

    LICENCE: str
    HOMEPAGE: str
    VERSION = tfds.core.Version("1.0.0")
    PIECE_S: float = 20.0

    def __init__(
        self,
        *,
        data_dir: str,
        source: pathlib.Path | None = None,
        options: Mapping[str, Any],
        ordered_map: parallel.Map = parallel.in_turn,
        write_splits: shards.WriteSplits | None = None,
    ) -> None:
        """`source` is the unpacked folder of recordings, of a corpus that has one. `ordered_map`
        does what can be done of each recording alone; so does `write_splits`, which is
        `shards.write_splits` by default."""
        self.source = source
        self.options = options
        self.notices = Notices()
        self._map = ordered_map
        self._write_splits = write_splits or functools.partial(
            shards.write_splits, ordered_map=ordered_map
        )
        super().__init__(data_dir=data_dir)

    @abc.abstractmethod
    def _split_generators(self, dl_manager: Any) -> Mapping[str, Iterable[Any]]:
        """The items of each split, in order."""

    @abc.abstractmethod
    def _reader(self) -> RecordingReader:
        """What reads the recordings of an item."""

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
        raise NotImplementedError("recordings come from _reader")

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Streams to disk: TFDS's own writer gathers a split in memory, and needs TensorFlow
        beyond 1 GB."""
        del download_config
        piece_samples = int(self.PIECE_S * self.info.metadata["sample_rate_hz"])
        encode = RecordEncoder(self._reader(), self.info.features, piece_samples)
        written, notices = self._write_splits(
            encode, self._split_generators(dl_manager), self._shard_path
        )
        for split, pieces in written.items():
            if not pieces:
                raise DataError(f"{self.name} has no recordings for its {split} split: add some")
        self.info.metadata["index"] = {split: shards.index(written[split]) for split in written}
        self.info.set_splits(
            tfds_splits.SplitDict(
                [self._split_info(split, pieces) for split, pieces in written.items()]
            )
        )
        self.notices.extend(notices)
        self.notices.log()

    def _split_info(self, split: str, pieces: list[Piece]) -> tfds_splits.SplitInfo:
        length = shards.PIECES_PER_SHARD
        starts = range(0, len(pieces), length)
        return tfds_splits.SplitInfo(
            name=split,
            shard_lengths=[min(length, len(pieces) - start) for start in starts],
            num_bytes=sum(piece.num_bytes for piece in pieces),
            filename_template=self._template(split),
        )

    def _shard_path(self, split: str, shard: int) -> str:
        return os.fspath(self._template(split).sharded_filepath(shard_index=shard, num_shards=None))

    def _template(self, split: str) -> naming.ShardedFileTemplate:
        return naming.ShardedFileTemplate(
            dataset_name=self.name,
            data_dir=self.data_path,
            split=split,
            filetype_suffix="array_record",
            template=description.FILES,
        )

    def _log_download_bytes(self) -> None:
        """Nothing is downloaded."""

    _log_download_done = _log_download_bytes
