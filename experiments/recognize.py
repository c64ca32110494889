"""Recognises the phones of recordings, with their times (section 3.4).

    python -m experiments.recognize --workdir=runs/timit RECORDING... --out=runs/timit/phones
    python -m experiments.recognize --workdir=runs/timit RECORDING \\
        --phones="h# w eh l kcl k ax m h#"

For a run of a recognizer that `experiments.train` made. Without `--out` the phones go to the
screen, one line each: start and end in seconds, and the phone. With it there is a file for each
recording, named after it: text, a TextGrid of Praat, or JSON.

With `--phones` the transcript is given, and its times are found (forced alignment).
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags
from tqdm import tqdm

from experiments.common import cli, phones, restore
from experiments.tasks import recognition
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.OUT, cli.STEP)
_FORMAT = flags.DEFINE_enum("format", "text", ["text", "textgrid", "json"], "What is written.")
_DECODER = flags.DEFINE_enum(
    "decoder",
    None,
    list(phones.DECODERS),
    "From posteriors to phones; by default viterbi, or beam for a recognizer trained with CTC.",
)
_PHONES = flags.DEFINE_string(
    "phones", None, "Transcript of the one recording, in the model's phones, to be aligned."
)


def main(argv: Sequence[str]) -> None:
    paths = argv[1:]
    if not paths:
        raise InputError("No recording is named: give one or more files.")
    if _PHONES.value is not None and len(paths) > 1:
        raise InputError(
            f"--phones is the transcript of one recording, and there are {len(paths)}."
        )
    if cli.OUT.value is None and _FORMAT.value != "text":
        raise InputError(f"--format is {_FORMAT.value}: give a folder with --out=DIR.")
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    files = _files(paths) if cli.OUT.value else None
    recognized = recognition.recognize(
        trained,
        paths,
        decoder=_DECODER.value,
        phones=None if _PHONES.value is None else _PHONES.value.split(),
    )
    for path, length_s, intervals in tqdm(
        recognized, total=len(paths), unit=" recordings", file=sys.stderr, disable=len(paths) < 2
    ):
        if files is None:
            if len(paths) > 1:
                print(f"# {path}")
            print("".join(map(recognition.line, intervals)), end="")
        else:
            recognition.write(files[path], length_s, intervals)
    if files is not None:
        print(f"{len(files)} files of step {trained.step} in {cli.OUT.value}")


def _files(paths: Sequence[str]) -> dict[pathlib.Path, pathlib.Path]:
    """The file to write for each recording.

    Raises:
      InputError: two recordings have one name, or nothing can be written.
    """
    folder = cli.require_writable(cli.OUT.value)
    files = {
        path: folder / (path.stem + recognition.SUFFIXES[_FORMAT.value])
        for path in map(pathlib.Path, paths)
    }
    for path, file in files.items():
        others = [other for other in files if files[other] == file and other != path]
        if others:
            raise InputError(f"{path} and {others[0]} would both be written to {file}: rename one.")
    return files


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR,), takes_files=True)
