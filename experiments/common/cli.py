"""The flags that several programs share, and the frame in which each program runs."""

import json
import os
import pathlib
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

import data
from experiments.common import buckets, files, processes
from experiments.common.sampling import Sampling
from wavenet_jax import InputError, folders, sampling
from wavenet_jax.training import DivergenceError


class _StepParser(flags.ArgumentParser):
    """`last`, `best`, or the number of a step."""

    def parse(self, argument: str | int) -> str | int:
        if argument in ("last", "best"):
            return argument
        if str(argument).isdecimal():
            return int(argument)
        raise ValueError("give last, best or the number of a step")

    def flag_type(self) -> str:
        return "last|best|N"


CONFIG: flags.FlagHolder[Any] = config_flags.DEFINE_config_file(
    "config", None, "File with get_config(), such as experiments/configs/fsdd.py."
)
WORKDIR: flags.FlagHolder[Any] = flags.DEFINE_string(
    "workdir", None, "Folder of a training run; where nothing is trained, also that of a model."
)
DATA_DIR: flags.FlagHolder[Any] = flags.DEFINE_string(
    "data_dir", None, "Folder of prepared corpora."
)
DATASET: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "dataset", None, sorted(data.OPTIONS), "Name of a corpus."
)
SPLIT: flags.FlagHolder[Any] = flags.DEFINE_string(
    "split", None, "Split of the corpus, such as train or test."
)
STEP: flags.FlagHolder[Any] = flags.DEFINE(
    _StepParser(),
    "step",
    None,
    "Checkpoint to use: the last, the one with the best held-out score, or that of a step; by "
    "default the best where there is a score, and else the last.",
)
OUT: flags.FlagHolder[Any] = flags.DEFINE_string(
    "out",
    None,
    "Folder for the files that are written; for speak the file itself, or - for a pipe.",
)
JSON = flags.DEFINE_string("json", None, "File to write the figures to, as JSON.")
SEED = flags.DEFINE_integer("seed", None, "Seed of all random numbers; 0 by default.", 0)
NUM_RECORDINGS = flags.DEFINE_integer(
    "num_recordings", None, "How many of the split's recordings, its first; all by default.", 1
)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1, "How many recordings to generate.", 1)
SECONDS = flags.DEFINE_float(
    "seconds", None, "Length of each; 1 by default, or that of the recordings of --split.", 0.0
)
LABEL = flags.DEFINE_list(
    "label",
    None,
    "Names of the classes to condition on, in turn; with several labels a class of each, or the "
    "tags of one recording, joined by +, as in jackson+7 or guitar+slow.",
)
TEMPERATURE = flags.DEFINE_float(
    "temperature",
    1.0,
    "Below 1 the likelier samples grow likelier; 0 takes the likeliest.",
    0.0,
)
VOICED_TEMPERATURE = flags.DEFINE_float(
    "voiced_temperature",
    None,
    "Temperature in voiced frames, for a model whose local features tell them; that of the "
    "others by default.",
    0.0,
)
TOP_P = flags.DEFINE_float(
    "top_p", 1.0, "Draws among the likeliest codes that have this probability; 1 among all.", 0, 1
)
SPECTRAL_SUBTRACTION = flags.DEFINE_float(
    "spectral_subtraction",
    0.0,
    "Subtracts the noise of the quietest frames, this many times, from what is generated.",
    0.0,
)
COMB_FILTER = flags.DEFINE_float(
    "comb_filter",
    0.0,
    "Takes noise from between the harmonics of what is generated, with this strength, up to 1.",
    0.0,
    1.0,
)
SPECTRAL_MATCHING = flags.DEFINE_float(
    "spectral_matching",
    0.0,
    "Gives what is generated the spectral envelope of its mel spectrogram, which conditions a "
    "vocoder and which a network of train_prosody predicts; up to 1, for all of it.",
    0.0,
    1.0,
)
BACKEND: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "backend", "auto", ["auto", *sampling.BACKENDS], "What generates (`wavenet_jax.sampling`)."
)
PRECISION: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "precision", "float32", sampling.PRECISIONS, "Of the weights it generates with."
)
MEL_CONVENTION: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "mel_convention",
    data.mel_conventions.OWN,
    sorted(data.mel_conventions.CONVENTIONS),
    "Whose mel spectrogram --mel holds, or is made of a recording (docs/vocoder.md).",
)
SAMPLING: tuple[flags.FlagHolder[Any], ...] = (
    TEMPERATURE,
    VOICED_TEMPERATURE,
    TOP_P,
    SPECTRAL_SUBTRACTION,
    COMB_FILTER,
    SPECTRAL_MATCHING,
    BACKEND,
    PRECISION,
)
"""The flags of `sampling_config`."""

MULTIHOST = flags.DEFINE_bool(
    "multihost",
    False,
    "One of several processes, which JAX detects (Cloud TPU, Slurm, Open MPI) or --coordinator, "
    "--num_processes and --process_id describe.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, for --multihost where it is not detected."
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes there are, likewise.", 1
)
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0, likewise.", 0)
PROCESSES: tuple[flags.FlagHolder[Any], ...] = (MULTIHOST, COORDINATOR, NUM_PROCESSES, PROCESS_ID)
"""The flags of `join_processes`."""

HOST: flags.FlagHolder[Any] = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to serve at; only this machine's own browsers by default."
)
PORT: flags.FlagHolder[Any] = flags.DEFINE_integer(
    "port", 0, "Port to serve at; any that is free by default.", 0, 65535
)
PUBLIC_URL: flags.FlagHolder[Any] = flags.DEFINE_string(
    "public_url", None, "Address of a tunnel or proxy that leads here: the link is of it."
)
SERVING: tuple[flags.FlagHolder[Any], ...] = (HOST, PORT, PUBLIC_URL)
"""The flags of `web.serve`."""

PRIME: flags.FlagHolder[Any] = flags.DEFINE_string(
    "prime", None, "Recording to continue; it begins each file."
)
PRIME_S: flags.FlagHolder[Any] = flags.DEFINE_float(
    "prime_s",
    None,
    "How much of a recording is continued, its first seconds; receptive_field 5 by default.",
    0.0,
)
NUM_CANDIDATES: flags.FlagHolder[Any] = flags.DEFINE_integer(
    "num_candidates", 8, "Among how many sounds, or continuations of a chunk, one is chosen.", 1
)
CHUNK_S: flags.FlagHolder[Any] = flags.DEFINE_float(
    "chunk_s", 0.5, "Length of a chunk, where a sound is steered chunk by chunk.", 0.0
)
MAX_BACKTRACKS: flags.FlagHolder[Any] = flags.DEFINE_integer(
    "max_backtracks", 4, "How often a chunk is given up and drawn again, likewise.", 0
)
STEERING: tuple[flags.FlagHolder[Any], ...] = (PRIME_S, NUM_CANDIDATES, CHUNK_S, MAX_BACKTRACKS)
"""The flags of how sound is steered (`experiments.steering`)."""

NUM_STEPS = flags.DEFINE_integer("num_steps", 200, "Training steps of each variant.", 1)
VARIANTS = flags.DEFINE_list("variants", None, "Which variants to train; all by default.")

# A flag that `takes` declares is a key flag of the program that calls it.
flags.disclaim_key_flags()


def takes(*holders: flags.FlagHolder[Any]) -> None:
    """Declares which of this module's flags a program reads; it refuses the others."""
    for holder in holders:
        flags.declare_key_flag(holder.name)


def sampling_config() -> Sampling:
    """How recordings are drawn, as the flags `SAMPLING` say."""
    return Sampling(**{holder.name: holder.value for holder in SAMPLING})


def join_processes() -> None:
    """Joins the other processes of the program that the flags `PROCESSES` describe, if any.

    Raises:
      InputError: as `processes.join`, or they are described without --multihost.
    """
    given = [holder.value for holder in PROCESSES[1:]]
    if MULTIHOST.value:
        processes.join(*given)
    elif any(value is not None for value in given):
        raise InputError("--coordinator, --num_processes and --process_id need --multihost.")


def run(
    main: Callable[[Sequence[str]], None],
    *,
    required: Sequence[flags.FlagHolder[Any]] = (),
    takes_files: bool = False,
) -> None:
    """Runs `main` under absl.

    Bad input ends with `error: ...` on stderr, one line, and exit code 1: so does a flag of
    this module that the program does not take, one of `required` that is missing, and, unless
    the program takes files, an argument that is no flag.
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
            for holder in required:
                if holder.value is None:
                    raise InputError(f"--{holder.name} is missing: give it, or see --help.")
            main(argv)
        except (InputError, data.DataError, DivergenceError, OSError) as error:
            _end(_place_in_config(error, sys.argv) or " ".join(str(error).split()))
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            sys.exit(130)

    app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses as absl does; a wrong flag or config file ends the program in one line."""
    try:
        rest = flags.FLAGS(argv)
        _refuse_unread(argv[0])
        return rest
    except Exception as error:  # a config file may raise anything
        if place := _place_in_config(error, argv):
            _end(place)
        if isinstance(error, KeyError | AttributeError):
            reason = _one_line(error)
            _end(f"The config has no such field ({reason}): see experiments/configs/schema.py.")
        if isinstance(error, flags.Error | OSError):
            _end(f"{_one_line(error)}: see --help.")
        raise


def _place_in_config(error: BaseException | None, argv: Sequence[str]) -> str | None:
    """File, line and error, if a config file raised it."""
    paths = {os.path.realpath(arg.partition("=")[2].partition(":")[0] or arg) for arg in argv[1:]}
    found = None
    while error is not None:  # absl and ml_collections raise others from it
        if isinstance(error, SyntaxError) and os.path.realpath(error.filename or "") in paths:
            found = f"{error.filename}, line {error.lineno}: SyntaxError: {error.msg}"
        for frame, line in traceback.walk_tb(error.__traceback__):
            if os.path.realpath(frame.f_code.co_filename) in paths:
                place = f"{frame.f_code.co_filename}, line {line}"
                found = f"{place}: {type(error).__name__}: {_one_line(error)}"
        error = error.__cause__ or error.__context__
    return found


def _one_line(error: BaseException) -> str:
    """The message, without the content of the config, which ml_collections adds."""
    message: Any = error
    while isinstance(message, KeyError | AttributeError) and message.args:
        message = message.args[0]  # not its repr
    return " ".join(str(message).partition("Other fields present")[0].split()).rstrip(".")


def _end(message: str) -> NoReturn:
    print("error:", message, file=sys.stderr)
    processes.end(1)


def _refuse_unread(program: str) -> None:
    """Refuses a flag of this module that the program does not read."""
    read = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(program)}
    for flag in flags.FLAGS.get_flags_for_module(__name__):
        if flag.present and flag.name not in read:
            raise flags.UnrecognizedFlagError(flag.name, str(flag.value))


def require_writable(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Makes a folder to write to, and tries it before any work is done for it.

    Raises:
      InputError: nothing can be written there.
    """
    if folders.is_bucket(folder):
        raise InputError(
            f"{os.fspath(folder)} is in a bucket, where this is not written: give a folder on a "
            "disk, and copy it there."
        )
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


def require_writable_workdir(workdir: str | os.PathLike[str]) -> None:
    """Makes the work directory of a training, which may be in a bucket, and tries it.

    Raises:
      InputError: nothing can be written there.
    """
    if folders.is_bucket(workdir):
        buckets.require_writable(workdir)
    else:
        require_writable(workdir)


def write_json(figures: object) -> None:
    """Writes figures to the file of --json, if it was given, whole or not at all."""
    if JSON.value is None:
        return
    path = pathlib.Path(JSON.value)
    require_writable(path.parent)
    files.write_whole(path, (json.dumps(figures, indent=2) + "\n").encode())


def positive_integers(name: str, values: Sequence[str | int]) -> list[int]:
    """The values of a flag as whole numbers.

    Raises:
      InputError: one is not a whole number of at least 1.
    """
    if not values or not all(str(value).isdecimal() and int(value) > 0 for value in values):
        given = ",".join(map(str, values))
        raise InputError(f"--{name} is {given!r}: give whole numbers of at least 1.")
    return [int(value) for value in values]
