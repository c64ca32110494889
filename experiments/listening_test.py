"""Listening tests: lays one out, serves it to people, and reports what they answered.

    python -m experiments.listening_test prepare --kind=mos --recordings=DIR --system=ours=DIR \\
        --system=theirs=DIR --out=DIR
    python -m experiments.listening_test prepare --kind=mos --system=copied=runs/tts \\
        --spoken=spoken=runs/tts --data_dir=corpora --split=test --out=DIR
    python -m experiments.listening_test rehearse --test=DIR --answers=DIR [--quality=ours=3.5]
    python -m experiments.listening_test serve --test=DIR --answers=DIR [--host=NAME] [--port=N]
    python -m experiments.listening_test report --test=DIR --answers=DIR --out=DIR
    python -m experiments.listening_test report --answers=mushra.csv --out=DIR

`prepare` takes folders of wav files with equal names, and models, which generate the recordings of
a split, and writes `test.json` and the sounds, of one loudness and rate, in a folder. `rehearse`
answers it by listeners who do not exist, to see what a report would tell of systems of some
quality, and how many people it takes. `serve` prints the link of a page: everybody who opens it
takes one of the test's sessions, and each answer is stored as it comes. Ctrl-C or SIGTERM ends it,
and the same command goes on. `report` reads the answers, a file a listener, or the table that
webMUSHRA collects, and writes `report.md`, `report.png` and `report.csv`.
"""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import cli
from experiments.listening import description, preparing, reporting, simulated, systems
from wavenet_jax import InputError, model_folder

cli.takes(cli.OUT, cli.SEED, cli.DATA_DIR, cli.SPLIT, *cli.SAMPLING, *cli.SERVING)
_KIND: flags.FlagHolder[Any] = flags.DEFINE_enum(
    "kind", None, description.KINDS, "What listeners are asked (prepare)."
)
_RECORDINGS: flags.FlagHolder[Any] = flags.DEFINE_string(
    "recordings",
    None,
    "Folder of wav files, one a text; with --split they are those of the split (prepare).",
)
_SYSTEM: flags.FlagHolder[Any] = flags.DEFINE_multi_string(
    "system",
    [],
    "NAME=DIR, once for each system: wav files with the recordings' names, or a run or a model, "
    "which generates the recordings of --split from their conditions (prepare).",
)
_SPOKEN: flags.FlagHolder[Any] = flags.DEFINE_multi_string(
    "spoken",
    [],
    "NAME=DIR, likewise: a run or a model that speaks the texts of --split, with predicted "
    "durations and pitch (prepare).",
)
_WITH_RECORDINGS = flags.DEFINE_bool(
    "with_recordings",
    True,
    "Whether the recordings are compared too, as MUSHRA always does (prepare).",
)
_NUM_TEXTS = flags.DEFINE_integer(
    "num_texts",
    None,
    "How many recordings, the first; by default all of a folder, "
    f"{systems.DEFAULT_TEXTS} of a split (prepare).",
    1,
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
    "test", None, "Folder that prepare wrote (rehearse, serve, report)."
)
_ANSWERS: flags.FlagHolder[Any] = flags.DEFINE_string(
    "answers",
    None,
    "Folder of answers (rehearse, serve, report), or webMUSHRA's mushra.csv (report).",
)
_QUALITY: flags.FlagHolder[Any] = flags.DEFINE_multi_string(
    "quality",
    [],
    "NAME=OPINION, what made-up listeners think of a system, from 1 to 5; "
    f"{simulated.DEFAULT_QUALITY} by default (rehearse).",
)

OF_PREPARE = (
    *(_KIND, _RECORDINGS, _SYSTEM, _SPOKEN, _WITH_RECORDINGS, _NUM_TEXTS, _NUM_LISTENERS),
    *(_NUM_CONTROLS, _NUM_REPEATS, _RATE_HZ, _LEVEL_LUFS, _SILENCE_DB, cli.SEED, cli.OUT),
    *(cli.DATA_DIR, cli.SPLIT, *cli.SAMPLING),
)


def _require(command: str, *holders: flags.FlagHolder[Any]) -> None:
    for holder in holders:
        if not holder.value:
            raise InputError(f"--{holder.name} is missing: {command} needs it, see --help.")


def _named(holder: flags.FlagHolder[Any], what: str = "DIR") -> dict[str, str]:
    """What a flag gives for each system, by its name."""
    named: dict[str, str] = {}
    for given in holder.value:
        name, separator, value = given.partition("=")
        if not separator or not value or name in named:
            raise InputError(f"--{holder.name} is {given!r}: give NAME={what}, each name once.")
        named[name] = value
    return named


def _prepare() -> None:
    _require("prepare", _KIND, cli.OUT)
    model_folder.require_new(pathlib.Path(cli.OUT.value))
    given, spoken = _named(_SYSTEM), _named(_SPOKEN)
    if both := given.keys() & spoken.keys():
        raise InputError(f"--system and --spoken both have {min(both)!r}: name one otherwise.")
    models = {
        name: systems.Model(folder, systems.COPIED)
        for name, folder in given.items()
        if systems.is_model(folder)
    } | {name: systems.Model(folder, systems.SPOKEN) for name, folder in spoken.items()}
    plan = {
        "with_recordings": _WITH_RECORDINGS.value,
        "num_listeners": _NUM_LISTENERS.value,
        "num_controls": _NUM_CONTROLS.value,
        "num_repeats": _NUM_REPEATS.value,
        "loudness_lufs": _LEVEL_LUFS.value,
        "seed": cli.SEED.value or 0,
    }
    with tempfile.TemporaryDirectory(prefix="listening_test.") as folder:
        if models:
            recordings, made = _generated(models, list(given | spoken), plan, pathlib.Path(folder))
        else:
            _refuse_flags_of_models()
            _require("prepare", _RECORDINGS, _SYSTEM)
            recordings, made = pathlib.Path(_RECORDINGS.value), {}
        test = preparing.prepare(
            cli.OUT.value,
            kind=_KIND.value,
            recordings=recordings,
            systems={name: made.get(name, folder) for name, folder in (given | spoken).items()},
            num_texts=_NUM_TEXTS.value,
            sample_rate_hz=_RATE_HZ.value,
            silence_db=_SILENCE_DB.value,
            **plan,
        )
    print(
        f"{len(test.sessions)} sessions of {len(test.sessions[0])} trials, {len(test.sounds)} "
        f"sounds of {test.loudness_lufs} LUFS at {test.sample_rate_hz} Hz in {cli.OUT.value}"
    )


def _generated(
    models: dict[str, systems.Model], names: list[str], plan: dict[str, Any], folder: pathlib.Path
) -> tuple[pathlib.Path, dict[str, pathlib.Path]]:
    """Generates what the models make; returns the folders of the recordings and of the models."""
    if _RECORDINGS.value is not None:
        raise InputError(
            f"{next(iter(models))} is a model, which generates the recordings of --split: leave "
            "--recordings out."
        )
    _require("prepare", cli.DATA_DIR, cli.SPLIT)
    loaded = systems.Models(
        models,
        data_dir=cli.DATA_DIR.value,
        split=cli.SPLIT.value,
        num_texts=_NUM_TEXTS.value,
    )
    # What cannot be laid out is refused before anything is generated.
    rate = _RATE_HZ.value or loaded.sample_rate_hz
    preparing.describe(_KIND.value, names, loaded.texts, sample_rate_hz=rate, **plan)
    return loaded.write(folder, seed=cli.SEED.value or 0, sampling=cli.sampling_config())


def _refuse_flags_of_models() -> None:
    for holder in (cli.DATA_DIR, cli.SPLIT, *cli.SAMPLING):
        if flags.FLAGS[holder.name].present:
            raise InputError(
                f"--{holder.name} is for what models generate, and every system is a folder of "
                "wav files: leave it out, or name a run or a model."
            )


def _rehearse() -> None:
    _require("rehearse", _TEST, _ANSWERS)
    test = description.read(pathlib.Path(_TEST.value))
    qualities = {}
    for name, given in _named(_QUALITY, "OPINION").items():
        try:
            qualities[name] = float(given)
        except ValueError:
            raise InputError(f"--quality is {name}={given}: give a number from 1 to 5.") from None
    folder = pathlib.Path(_ANSWERS.value)
    number = simulated.rehearse(test, folder, qualities, seed=cli.SEED.value or 0)
    print(f"Made-up answers of {number} listeners in {folder}")


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
    "rehearse": (_rehearse, (_TEST, _ANSWERS, _QUALITY, cli.SEED)),
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
