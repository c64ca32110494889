"""What the programs share: flags of one meaning, and how each of them ends."""

import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import config_flags

import data
from wavenet_jax import InputError
from wavenet_jax.training import NonFiniteLossError

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared corpora.")
DATASET = flags.DEFINE_enum("dataset", None, sorted(data.OPTIONS), "Name of a corpus.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training run.")
JSON = flags.DEFINE_string("json", None, "File to write the figures to, as JSON.")
SPLIT = flags.DEFINE_string("split", None, "Split of the corpus, such as train or test.")
OUT = flags.DEFINE_string(
    "out", None, "Folder for the files that are written; for speak the file itself."
)
NUM_RECORDINGS = flags.DEFINE_integer(
    "num_recordings", None, "How many of the split's recordings, its first; all by default."
)
CONFIG = config_flags.DEFINE_config_file(
    "config", None, "File with get_config(), such as experiments/configs/fsdd.py."
)
SEED = flags.DEFINE_integer("seed", None, "Of what is random; 0 by default.", lower_bound=0)


def run(main: Callable[[Sequence[str]], None], *, takes_files: bool = False) -> None:
    """Runs `main` under absl.

    Bad input ends with `error: ...` on stderr, one line, and exit code 1. So does what is no
    flag, unless the program takes files.
    """

    def guarded(argv: Sequence[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            if len(argv) > 1 and not takes_files:
                raise InputError(
                    f"{argv[1]!r} is no flag: write --NAME={argv[1]}, with a name that "
                    "--help lists."
                )
            main(argv)
        except (InputError, data.DataError, NonFiniteLossError, OSError) as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            sys.exit(130)

    app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses as absl does, and says in one line what it, or a config's file, cannot take."""
    try:
        return flags.FLAGS(argv)
    except (flags.Error, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        print(
            f"error: a flag cannot be used ({reason}): see --help, and experiments/configs "
            "for the fields of --config.",
            file=sys.stderr,
        )
        sys.exit(1)


def require(**values: object) -> None:
    """Refuses to go on without a flag.

    Raises:
      InputError: one is missing.
    """
    for name, value in values.items():
        if value is None:
            raise InputError(f"--{name} is missing: give it, or see --help.")


def require_writable(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a folder to write to, and tries it before any work is done for it.

    Raises:
      InputError: nothing can be written there.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        raise InputError(
            f"Nothing can be written to {folder} ({error.strerror}): choose another folder."
        ) from error
    return folder


def write_json(figures: object) -> None:
    """Writes figures to the file of --json, if it was given, whole or not at all."""
    if JSON.value is None:
        return
    path = pathlib.Path(JSON.value)
    require_writable(path.parent)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(figures, indent=2) + "\n")
    part.replace(path)


def positive_integers(name: str, values: Sequence[str | int]) -> list[int]:
    """The values of a flag as whole numbers.

    Raises:
      InputError: one is not a whole number of at least 1.
    """
    if not values or not all(str(value).isdecimal() and int(value) > 0 for value in values):
        given = ",".join(map(str, values))
        raise InputError(f"--{name} is {given!r}: give whole numbers of at least 1.")
    return [int(value) for value in values]
