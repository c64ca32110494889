"""A trained model written as a folder of files, with a card of what it is and how good."""

import dataclasses
import hashlib
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from experiments.common import cli, prosody, reporting, restore
from experiments.common.programs import command
from experiments.tasks.model_card import File, Measured, ModelCard
from wavenet_jax import InputError, model_folder
from wavenet_jax.model_folder import SavedModel, SavedNetwork
from wavenet_jax.prosody.networks import NUM_OUTPUTS

PROGRAMS = pathlib.Path(__file__).parents[1]


def export(
    workdir: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    step: int | str | None = None,
    precision: str = "float32",
    about: str = "",
    limits: str = "",
    hardware: str = "",
    measures: Sequence[str] = (),
    data_dir: str | os.PathLike[str] | None = None,
) -> ModelCard:
    """Writes a model's folder (`wavenet_jax.model_folder`), which appears once it is complete.

    Args:
      workdir: of the run; or a model's folder, to store it in another precision.
      out: the folder to make.
      step: of the checkpoint, as for `restore.load`.
      precision: of the stored parameters, one of `model_folder.PRECISIONS`.
      about, limits, hardware: for the card (`ModelCard`).
      measures: programs with their flags but `--workdir`, such as "evaluate --split=test
        --data_dir=corpora". Each runs on the written files, and the card has what it prints.
      data_dir: folder of prepared corpora, of which the card has the licence and a text.

    Returns:
      The card.

    Raises:
      InputError, data.DataError: bad input, or a measure that fails; nothing is left.
    """
    folder = pathlib.Path(out)
    model_folder.require_new(folder)
    tails = [_checked(measure) for measure in measures]
    trained = _published(restore.load(workdir, step))
    run = trained.run
    licence, spoken_text = "", "hello"
    if data_dir is not None:
        corpus = run.load(data_dir, "train")
        licence = " ".join(filter(None, [corpus.licence, corpus.homepage]))
        spoken_text = corpus.recording(0).get("text") or spoken_text
    networks: dict[str, SavedNetwork] = {}
    for kind in NUM_OUTPUTS:
        if (saved := prosody.network(workdir, kind)) is not None:
            prosody.check_fits(run, saved, workdir)
            networks[kind] = saved
    past = [row for row in reporting.history(workdir) if row["step"] <= trained.step]
    scores = {
        name.removeprefix("held_out/"): value
        for row in past
        for name, value in row.items()
        if row["step"] == trained.step and name.startswith("held_out/")
    }
    card = ModelCard(
        trained,
        folder,
        about=about,
        limits=limits,
        licence=licence,
        spoken_text=spoken_text,
        hardware=hardware,
        minutes=max(row["time_s"] for row in past) / 60 if past else None,
        scores=scores,
        curve=[row for row in past if any(f"held_out/{name}" in row for name in scores)],
        precision=precision,
        networks=tuple(networks),
    )
    described = run.to_dict() | {"scores": scores}
    model = SavedModel(run.model, trained.params, trained.step, described)
    parent = cli.require_writable(folder.absolute().parent)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=parent) as beside:
        unfinished = pathlib.Path(beside) / folder.name
        model_folder.write(unfinished, model, networks=networks, precision=precision)
        card = dataclasses.replace(
            card,
            measured=[_measured(tail, unfinished, folder) for tail in tails],
            files=[_file(path) for path in sorted(unfinished.iterdir())],
        )
        (unfinished / model_folder.CARD).write_text(card.text(), encoding="utf-8")
        unfinished.rename(folder)
    return card


def _published(trained: restore.TrainedModel) -> restore.TrainedModel:
    """A model whose config does not tell where on this machine its pretrained model lay: within the
    current folder the path from there, otherwise the name of its folder."""
    run, path = trained.run, trained.run.config.pretrained
    if path and pathlib.Path(path).is_absolute():
        absolute = pathlib.Path(path)
        inside = absolute.is_relative_to(pathlib.Path.cwd())
        path = str(absolute.relative_to(pathlib.Path.cwd()) if inside else absolute.name)
    config = dataclasses.replace(run.config, pretrained=path)
    return trained._replace(run=dataclasses.replace(run, config=config))


def _checked(measure: str) -> list[str]:
    """The words of a measure.

    Raises:
      InputError: they do not begin with a program, or name a folder of their own.
    """
    try:
        words = shlex.split(measure)
    except ValueError as error:
        raise InputError(f"--measure is {measure!r} ({error}): close the quotation.") from error
    program = words[0].replace(".", "/") if words else ""
    if not (PROGRAMS / f"{program}.py").is_file():
        raise InputError(
            f"--measure is {measure!r}: begin with a program of experiments, such as 'evaluate "
            "--split=test --data_dir=DIR'."
        )
    if any(word.lstrip("-").partition("=")[0] == "workdir" for word in words):
        raise InputError(f"--measure is {measure!r}: leave out --workdir, which is the model's.")
    return words


def _measured(words: Sequence[str], unfinished: pathlib.Path, folder: pathlib.Path) -> Measured:
    """Runs a measure on the files of `unfinished`, which will be those of `folder`.

    Raises:
      InputError: it fails.
    """
    program, *flags = words
    ran = [sys.executable, "-m", f"experiments.{program}", f"--workdir={unfinished}", *flags]
    shown = command(program, f"--workdir={folder}", *flags)
    print(f"$ {shown}", file=sys.stderr, flush=True)
    ended = subprocess.run(ran, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise InputError(
            f"--measure is {shlex.join(words)!r}, and the program ended with code "
            f"{ended.returncode}: mend it, or leave it out; nothing was exported."
        )
    return Measured(shown, ended.stdout.replace(str(unfinished), str(folder)))


def _file(path: pathlib.Path) -> File:
    content = path.read_bytes()
    return File(path.name, len(content), hashlib.sha256(content).hexdigest())
