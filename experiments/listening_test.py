"""Listening tests: lays one out, serves it to people, and reports what they answered.

    python -m experiments.listening_test prepare --kind=mos --recordings=DIR --system=ours=DIR \\
        --system=theirs=DIR --out=DIR
    python -m experiments.listening_test serve --test=DIR --answers=DIR [--host=NAME] [--port=N]
    python -m experiments.listening_test report --test=DIR --answers=DIR --out=DIR
    python -m experiments.listening_test report --answers=mushra.csv --out=DIR

`prepare` takes folders of wav files with equal names and writes `test.json` and the sounds, of
one loudness and rate, in a folder. `serve` prints the link of a page: everybody who opens it takes
one of the test's sessions, and each answer is stored as it comes. Ctrl-C or SIGTERM ends it, and
the same command goes on. `report` reads the answers, a file a listener, or the table
that webMUSHRA collects, and writes `report.md`, `report.png` and `report.csv`.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import cli
from experiments.listening import description, preparing, reporting
from wavenet_jax import InputError

cli.takes(cli.OUT, cli.SEED, *cli.SERVING)
_KIND: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "kind", None, description.KINDS, "What listeners are asked (prepare)."
)
_RECORDINGS: flags.FlagHolder[Any] = flags.DEFINE_string(
    "recordings", None, "Folder of wav files, one a text (prepare)."
)
_SYSTEM: flags.FlagHolder[Any] = flags.DEFINE_multi_string(
    "system", [], "NAME=DIR, wav files with the recordings' names; once for each system (prepare)."
)
_WITH_RECORDINGS = flags.DEFINE_bool(
    "with_recordings",
    True,
    "Whether the recordings are compared too, as MUSHRA always does (prepare).",
)
_NUM_TEXTS = flags.DEFINE_integer(
    "num_texts", None, "How many recordings, the first by name; all by default (prepare).", 1
)
_NUM_LISTENERS = flags.DEFINE_integer(
    "num_listeners", preparing.DEFAULT_LISTENERS, "Sessions to lay out (prepare).", 1
)
_NUM_CONTROLS = flags.DEFINE_integer(
    "num_controls",
    preparing.DEFAULT_CONTROLS,
    "Trials of a session with a known answer; MUSHRA has none (prepare).",
    0,
)
_NUM_REPEATS = flags.DEFINE_integer(
    "num_repeats", preparing.DEFAULT_REPEATS, "Trials of a session that come twice (prepare).", 0
)
_RATE_HZ = flags.DEFINE_integer(
    "rate_hz", None, "Rate of the sounds; the recordings' by default (prepare).", 1
)
_LEVEL_LUFS: flags.FlagHolder[Any] = flags.DEFINE_float(
    "level_lufs",
    preparing.DEFAULT_LOUDNESS_LUFS,
    "Loudness of the sounds by ITU-R BS.1770, or as near as the peaks allow (prepare).",
    -60.0,
    0.0,
)
_SILENCE_DB: flags.FlagHolder[Any] = flags.DEFINE_float(
    "silence_db",
    preparing.DEFAULT_SILENCE_DB,
    "Sound this far below the loudest is cut from the ends (prepare).",
    1.0,
)
_TEST: flags.FlagHolder[Any] = flags.DEFINE_string(
    "test", None, "Folder that prepare wrote (serve, report)."
)
_ANSWERS: flags.FlagHolder[Any] = flags.DEFINE_string(
    "answers", None, "Folder of answers (serve, report), or webMUSHRA's mushra.csv (report)."
)

OF_PREPARE = (
    *(_KIND, _RECORDINGS, _SYSTEM, _WITH_RECORDINGS, _NUM_TEXTS, _NUM_LISTENERS),
    *(_NUM_CONTROLS, _NUM_REPEATS, _RATE_HZ, _LEVEL_LUFS, _SILENCE_DB, cli.SEED, cli.OUT),
)


def _require(command: str, *holders: flags.FlagHolder[Any]) -> None:
    for holder in holders:
        if not holder.value:
            raise InputError(f"--{holder.name} is missing: {command} needs it, see --help.")


def _systems() -> dict[str, pathlib.Path]:
    systems: dict[str, pathlib.Path] = {}
    for given in _SYSTEM.value:
        name, separator, folder = given.partition("=")
        if not separator or not folder or name in systems:
            raise InputError(f"--system is {given!r}: give NAME=DIR, each name once.")
        systems[name] = pathlib.Path(folder)
    return systems


def _prepare() -> None:
    _require("prepare", _KIND, _RECORDINGS, _SYSTEM, cli.OUT)
    test = preparing.prepare(
        cli.OUT.value,
        kind=_KIND.value,
        recordings=_RECORDINGS.value,
        systems=_systems(),
        with_recordings=_WITH_RECORDINGS.value,
        num_texts=_NUM_TEXTS.value,
        num_listeners=_NUM_LISTENERS.value,
        num_controls=_NUM_CONTROLS.value,
        num_repeats=_NUM_REPEATS.value,
        sample_rate_hz=_RATE_HZ.value,
        loudness_lufs=_LEVEL_LUFS.value,
        silence_db=_SILENCE_DB.value,
        seed=cli.SEED.value or 0,
    )
    print(
        f"{len(test.sessions)} sessions of {len(test.sessions[0])} trials, {len(test.sounds)} "
        f"sounds of {test.loudness_lufs} LUFS at {test.sample_rate_hz} Hz in {cli.OUT.value}"
    )


def _report() -> None:
    _require("report", _ANSWERS, cli.OUT)
    if pathlib.Path(_ANSWERS.value).is_dir():
        _require("report", _TEST)
        report = reporting.of_answers(_ANSWERS.value, _TEST.value)
    elif _TEST.value is not None:
        raise InputError(f"{_ANSWERS.value} is no folder: give that of the answers to --test.")
    else:
        report = reporting.of_webmushra(_ANSWERS.value)
    folder = reporting.write(report, cli.OUT.value)
    print(reporting.markdown(report), end="")
    print(f"\nAlso in {folder}, with a figure and a CSV.")


def _serve() -> None:
    _require("serve", _TEST, _ANSWERS)
    from experiments.listening import serving  # the other commands need no server

    serving.serve(
        _TEST.value,
        _ANSWERS.value,
        host=cli.HOST.value,
        port=cli.PORT.value,
        public_url=cli.PUBLIC_URL.value,
    )


COMMANDS = {
    "prepare": (_prepare, OF_PREPARE),
    "serve": (_serve, (_TEST, _ANSWERS, *cli.SERVING)),
    "report": (_report, (_TEST, _ANSWERS, cli.OUT)),
}
"""What each does, and the flags that it reads."""


def main(argv: Sequence[str]) -> None:
    if len(argv) != 2 or argv[1] not in COMMANDS:
        raise InputError(f"Say what to do, one of {', '.join(COMMANDS)}, and see --help.")
    command = argv[1]
    run, holders = COMMANDS[command]
    read = {holder.name for holder in holders}
    for name in {holder.name for _, holders in COMMANDS.values() for holder in holders} - read:
        if flags.FLAGS[name].present:
            raise InputError(f"--{name} is no flag of {command}: see --help.")
    run()


if __name__ == "__main__":
    cli.run(main, takes_files=True)
