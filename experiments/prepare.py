"""Builds a corpus, from recordings on disk or made on the spot: speech, or notes.

    python -m experiments.prepare --dataset=folder --source=DIR --data_dir=DIR
    python -m experiments.prepare --dataset=folder --source=DIR --labels=FILE --align=en-us --f0 \\
        --licence=LICENCE --data_dir=DIR
    python -m experiments.prepare --dataset=ljspeech --source=LJSpeech-1.1.tar.bz2 --data_dir=DIR
    python -m experiments.prepare --dataset=hts --source=DIR --questions=FILE --data_dir=DIR
    python -m experiments.prepare --dataset=espeak --data_dir=DIR
    python -m experiments.prepare --dataset=notes --data_dir=DIR
    python -m experiments.prepare --dataset=librispeech --source=DIR --data_dir=DIR --num_workers=8
    python -m experiments.prepare --dataset=librispeech --source=DIR --data_dir=DIR \\
        --beam_options=runner=FlinkRunner,flink_master=HOST:PORT

Nothing half-written stays behind, whatever stops it. Preparing again with the
same flags does nothing; with others it is refused.
"""

import signal
import sys
from collections.abc import Sequence

from absl import flags

import data
from experiments.common import cli
from experiments.tasks.corpora import prepare
from wavenet_jax import InputError

cli.takes(cli.DATASET, cli.DATA_DIR, cli.SEED)
flags.DEFINE_string(
    "source",
    None,
    "The corpus as it is distributed: a folder or an archive (all but espeak and notes).",
)
flags.DEFINE_integer(
    "sample_rate_hz",
    None,
    "Rate to resample to where recordings have another (their own by default), or to synthesise "
    "at (espeak, notes; 8000 by default).",
    lower_bound=1,
)
flags.DEFINE_bool("mono", None, "Average several channels into one (all but espeak and notes).")
flags.DEFINE_float(
    "trim_db",
    None,
    "Cut silence from both ends: more than so many dB below the recording's loudest 25 ms, "
    "such as 40 (all but espeak, notes and corpora with labels in time; 40 by default for vctk, "
    "and 0 for nothing).",
)
flags.DEFINE_float(
    "peak_db",
    None,
    "Bring each recording's peak to this level, such as -1 (all but espeak and notes).",
)
flags.DEFINE_float(
    "loudness_lufs",
    None,
    "Bring each recording to this loudness by ITU-R BS.1770, such as -23 (all but espeak and "
    "notes).",
)
flags.DEFINE_enum(
    "own_range",
    None,
    ["linear", "mu_law"],
    "Spread each recording over the whole range of 256 codes, with the companding of the model "
    "(all but espeak and notes; docs/published_bits.md).",
)
flags.DEFINE_integer(
    "piece_samples",
    None,
    "Cut recordings into pieces of so many samples, a shorter rest left out (folder, youtube_mix, "
    "beethoven, maestro).",
    lower_bound=1,
)
flags.DEFINE_bool(
    "skip_bad", None, "Drop unusable recordings, saying which and why (all but espeak and notes)."
)
flags.DEFINE_float(
    "max_dropped_share", None, "Refuse to drop a larger share than this (0.01 by default)."
)
flags.DEFINE_string(
    "labels",
    None,
    "What is known of recordings (folder): none, folders (their label is the sub-folder of "
    "--source that holds them), or a CSV file with the column path and one or more of label, "
    "speaker and text.",
)
flags.DEFINE_string("licence", None, "Licence of the recordings, such as CC BY 4.0 (folder).")
flags.DEFINE_string(
    "questions", None, "Question file (.hed) to the full-context labels of the recordings (hts)."
)
flags.DEFINE_enum("microphone", None, ["mic1", "mic2"], "Which of the two (vctk; mic1 by default).")
flags.DEFINE_string(
    "align",
    None,
    "Add phones in time, aligned with what this eSpeak voice makes of the text, such as en-us "
    "(folder, ljspeech, vctk, librispeech).",
)
flags.DEFINE_bool(
    "f0", None, "Add the pitch (folder, ljspeech, vctk, librispeech, timit, cmu_arctic)."
)
flags.DEFINE_list("voices", None, "eSpeak voices, such as en-us,en-us+f2 (espeak).")
flags.DEFINE_integer("num_utterances", None, "Utterances to make (espeak).")
flags.DEFINE_integer(
    "num_test", None, "Utterances of the test split (espeak; 5% of --num_utterances by default)."
)
flags.DEFINE_enum(
    "domain",
    None,
    ["digits", "sentences", "everyday"],
    "What the utterances are drawn from, with --seed (espeak).",
)
flags.DEFINE_list(
    "instruments",
    None,
    "Instruments to make notes of, such as piano,violin, or all (notes; eight by default).",
)
flags.DEFINE_integer(
    "moved_semitones",
    None,
    "Also train notes that are played so many semitones higher or lower at most (notes).",
)
flags.DEFINE_integer("words_per_minute", None, "Speed of the voices (espeak).")
NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", 1, "Processes that read recordings; the corpus is the same.", lower_bound=1
)
BEAM_OPTIONS = flags.DEFINE_list(
    "beam_options",
    None,
    "Has Apache Beam read the recordings, with these options of it, such as "
    "runner=DirectRunner,direct_num_workers=8,direct_running_mode=multi_processing; the corpus is "
    "the same (docs/corpora.md).",
)

OPTION_FLAGS = sorted({option for options in data.OPTIONS.values() for option in options})


def main(argv: Sequence[str]) -> None:
    del argv
    # As Ctrl-C does: an exception, on whose way out everything half-written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = {option: flags.FLAGS[option].value for option in OPTION_FLAGS}
    options = {option: value for option, value in given.items() if value is not None}
    try:
        summary = prepare(
            cli.DATASET.value,
            data_dir=cli.DATA_DIR.value,
            num_workers=NUM_WORKERS.value,
            beam_options=BEAM_OPTIONS.value,
            **options,
        )
    except data.RecordingError as error:
        raise InputError(f"{error}, or drop such recordings with --skip_bad") from error
    print(summary)


if __name__ == "__main__":
    cli.run(main, required=(cli.DATASET, cli.DATA_DIR))
