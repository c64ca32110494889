"""Builds a corpus: from recordings on disk, or from speech made on the spot.

    python -m experiments.prepare --dataset=folder --source=DIR --data_dir=DIR
    python -m experiments.prepare --dataset=ljspeech --source=LJSpeech-1.1.tar.bz2 --data_dir=DIR
    python -m experiments.prepare --dataset=hts --source=DIR --questions=FILE --data_dir=DIR
    python -m experiments.prepare --dataset=espeak --data_dir=DIR

Nothing half-written stays behind, whatever stops it. Preparing again with the
same flags does nothing; with others it is refused.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

import data
from experiments.common import cli

FLAGS = flags.FLAGS
flags.declare_key_flag("dataset")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("seed")

flags.DEFINE_string(
    "source", None, "The corpus as it is distributed: a folder or an archive (all but espeak)."
)
flags.DEFINE_integer(
    "sample_rate_hz",
    None,
    "Rate to resample to where recordings have another (their own by default), or to synthesise "
    "at (espeak; 8000 by default).",
    lower_bound=1,
)
flags.DEFINE_bool("mono", None, "Average several channels into one (all but espeak).")
flags.DEFINE_float(
    "trim_db",
    None,
    "Cut silence from both ends: what is so many dB below the recording's loudest 25 ms, "
    "such as 40 (all but espeak and corpora with labels in time; 40 by default for vctk, and 0 "
    "for nothing).",
)
flags.DEFINE_float(
    "peak_db", None, "Bring each recording's peak to this level, such as -1 (all but espeak)."
)
flags.DEFINE_float(
    "loudness_lufs",
    None,
    "Bring each recording to this loudness by ITU-R BS.1770, such as -23 (all but espeak).",
)
flags.DEFINE_bool(
    "skip_bad", None, "Drop unusable recordings, saying which and why (all but espeak)."
)
flags.DEFINE_float(
    "max_dropped_share", None, "Refuse to drop a larger share than this (0.01 by default)."
)
flags.DEFINE_string(
    "labels",
    None,
    "Classes of recordings (folder): none, folders (the sub-folder of --source that holds them), "
    "or a CSV file with the columns path,label.",
)
flags.DEFINE_string(
    "questions", None, "Question file (.hed) to the full-context labels of the recordings (hts)."
)
flags.DEFINE_enum("microphone", None, ["mic1", "mic2"], "Which of the two (vctk; mic1 by default).")
flags.DEFINE_string(
    "align",
    None,
    "Add phones in time, aligned with what this eSpeak voice makes of the text, such as en-us "
    "(ljspeech, vctk, librispeech).",
)
flags.DEFINE_bool("f0", None, "Add the pitch (ljspeech, vctk, librispeech, timit, cmu_arctic).")
flags.DEFINE_list("voices", None, "eSpeak voices, such as en-us,en-us+f2 (espeak).")
flags.DEFINE_integer("num_utterances", None, "Utterances to make (espeak).")
flags.DEFINE_enum(
    "domain", None, ["digits", "sentences"], "What is said, drawn with --seed (espeak)."
)
flags.DEFINE_integer("words_per_minute", None, "Speed of the voices (espeak).")

OPTION_FLAGS = sorted({option for options in data.OPTIONS.values() for option in options})


def prepare(name: str, *, data_dir: os.PathLike[str] | str, **options: Any) -> str:
    """Builds a corpus and describes it.

    Args:
      name: One of `data.OPTIONS`.
      data_dir: Folder of corpora.
      **options: As `data.OPTIONS[name]` lists them.

    Returns:
      Recordings, duration and rate of each split, the labels, and the licence and source, a
      line each.

    Raises:
      data.DataError: the input cannot be used; nothing is left behind.
    """
    folder = data.build(name, data_dir=data_dir, **options)
    lines = [f"{name} in {folder}"]
    for split in data.splits(name, data_dir):
        corpus = data.load(name, data_dir, split)
        hours = corpus.lengths.sum() / corpus.sample_rate_hz / 3600
        lines.append(
            f"  {split}: {len(corpus)} recordings, {hours:.3f} h at {corpus.sample_rate_hz} Hz"
        )
    for label, classes in corpus.class_names.items():
        short = [name if len(name) <= 24 else f"{name[:21]}..." for name in classes[:12]]
        shown = ", ".join(short) + (", ..." if len(classes) > 12 else "")
        lines.append(f"  {label}: {len(classes)} classes ({shown})")
    lines.append(f"  licence: {corpus.licence}" + f" ({corpus.homepage})" * bool(corpus.homepage))
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(dataset=FLAGS.dataset, data_dir=FLAGS.data_dir)
    # As Ctrl-C does: an exception, on whose way out everything half-written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = {option: FLAGS[option].value for option in OPTION_FLAGS}
    options = {option: value for option, value in given.items() if value is not None}
    print(prepare(FLAGS.dataset, data_dir=FLAGS.data_dir, **options))


if __name__ == "__main__":
    cli.run(main)
