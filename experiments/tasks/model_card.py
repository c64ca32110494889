"""The card of an exported model: what it is, how it was trained, how good it is."""

import dataclasses
import datetime
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax

import wavenet_jax
from experiments.common import recipes, restore
from experiments.common.programs import command
from wavenet_jax import InputError, model_folder

_CURVE_ROWS = 8
_FIGURES = "Figures\n\nWhat each command printed for these files:"


class Measured(NamedTuple):
    """A command and what it printed."""

    command: str
    printed: str


class File(NamedTuple):
    """A file of the folder."""

    name: str
    num_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """A card of a model.

    Attributes:
      trained: the model.
      folder: of its files, as the card's commands name it.
      about: what the model is.
      limits: what it cannot do.
      licence: of the corpus.
      spoken_text: that of a recording of the corpus, which a model that speaks can say.
      hardware: that the model was trained on.
      minutes: of training.
      scores: held-out ones while it was trained, by name.
      curve: rows of the run's history with held-out scores, in order.
      precision: of the stored parameters.
      networks: kinds of its networks of prosody.
      measured: commands that give its figures, and what they printed.
      files: of the folder.
    """

    trained: restore.TrainedModel
    folder: pathlib.Path
    about: str = ""
    limits: str = ""
    licence: str = ""
    spoken_text: str = "hello"
    hardware: str = ""
    minutes: float | None = None
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
    precision: str = "float32"
    networks: tuple[str, ...] = ()
    measured: Sequence[Measured] = ()
    files: Sequence[File] = ()

    def text(self) -> str:
        """The card in Markdown."""
        run = self.trained.run
        sections = [
            f"# {self.folder.name}",
            self.about or f"A model of the corpus `{run.config.dataset}`.",
            _table([("", ""), *self._facts()]),
            f"{_block(self._use())}\n\n"
            f"From Python: `wavenet_jax.load({str(self.folder)!r})`. To begin another training "
            f"with it: `--config.pretrained={self.folder}`.",
            f"## Training\n\n{_block(*self._training())}",
        ]
        if len(self.curve) > 1:
            sections[-1] += f"\n\n{_table(list(self._curve()))}"
        if self.measured:
            figures = [
                f"{_block(each.command)}\n\n```text\n{each.printed.rstrip()}\n```"
                for each in self.measured
            ]
            sections += ["\n\n".join([f"## {_FIGURES}", *figures])]
        if self.limits:
            sections += [f"## What it cannot do\n\n{self.limits}"]
        rows = [(f"`{each.name}`", f"{each.num_bytes:,}", each.sha256) for each in self.files]
        sections += [f"## Files\n\n{_table([('file', 'bytes', 'SHA-256'), *rows])}"]
        return "\n\n".join(sections) + "\n"

    def _facts(self) -> Iterator[tuple[str, str]]:
        run = self.trained.run
        num_parameters = sum(x.size for x in jax.tree.leaves(self.trained.params))
        kind = "WaveNet"
        if run.recognizer is not None:
            kind = "WaveNet with a recognizer of phones"
        elif run.autoencoder is not None:
            kind = "WaveNet autoencoder"
        elif run.student is not None:
            kind = "parallel student of a WaveNet"
        yield "model", f"{kind}, {num_parameters:,} parameters, {self.precision}"
        rate = run.audio.sample_rate_hz
        yield "sound", f"{rate} Hz; receptive field {1000 * run.receptive_field / rate:.0f} ms"
        for label in run.audio.global_labels:
            yield label, ", ".join(run.audio.classes[label])
        if run.config.local_condition.features:
            yield "local features", run.config.local_condition.features
        if self.networks:
            yield "predicted from text", ", ".join(self.networks)
        yield "corpus", f"`{run.config.dataset}`"
        if self.licence:
            yield "its licence", self.licence
        minutes = "" if self.minutes is None else f", {self.minutes:.1f} minutes"
        hardware = f" on {self.hardware}" if self.hardware else ""
        yield "training", f"{self.trained.step:,} steps{minutes}{hardware}"
        number = f"{run.config.held_out_recordings} recordings of `{run.config.held_out_split}`"
        for name, score in self.scores.items():
            yield f"held-out {name}", f"{score:.4f} while it was trained, of at most {number}"
        yield "written", f"{datetime.date.today()}, by wavenet_jax {wavenet_jax.__version__}"

    def _curve(self) -> Iterator[Sequence[str]]:
        """A table of at most `_CURVE_ROWS` steps, evenly over the training, the last among them."""
        names = list(self.scores)
        yield ["step", "minutes", *(f"held-out {name}" for name in names)]
        number = min(_CURVE_ROWS, len(self.curve))
        for i in range(number):
            row = self.curve[-1 - (number - 1 - i) * len(self.curve) // number]
            scores = (f"{row[f'held_out/{name}']:.3f}" for name in names)
            yield [f"{row['step']:,}", f"{row['time_s'] / 60:.1f}", *scores]

    def _use(self) -> str:
        """A command that shows what the model does."""
        run, workdir = self.trained.run, f"--workdir={self.folder}"
        if run.recognizer is not None:
            return command("recognize", workdir, "RECORDING")
        if self.networks:
            said = "--hts_labels=FILE" if run.questions else f"--text={self.spoken_text}"
            names = [run.audio.classes[label][0] for label in run.audio.global_labels]
            speaker = [f"--speaker={'+'.join(names)}"] if names else []
            return command("speak", workdir, *speaker, said, "--out=speech.wav")
        if run.mel is not None:
            return command("sample", workdir, "--mel_from=RECORDING", "--out=copies")
        if run.autoencoder is not None:
            given = "+".join(run.audio.classes[label][0] for label in run.audio.global_labels)
            labels = [f"--label={given}"] if given else []
            return command("transform", workdir, "RECORDING", *labels, "--out=transformed")
        if run.wavenet.local_condition is not None:
            return command("sample", workdir, "--data_dir=corpora", "--split=test", "--out=samples")
        return command("sample", workdir, "--seconds=3", "--out=samples")

    def _training(self) -> list[str]:
        """The commands that train such a model."""
        where = ["--workdir=WORKDIR", "--data_dir=corpora"]
        run = self.trained.run
        program, teacher = ("distill", ["--teacher=TEACHER"]) if run.student else ("train", [])
        flags = recipes.training_flags(run.config)
        commands = [command(program, *flags, *teacher, *where)]
        is_trained = self.networks and not run.student  # which has its teacher's
        return commands + [command("train_prosody", *where)] * bool(is_trained)


class Read(NamedTuple):
    """What a card says for people, as plain text.

    Attributes:
      about: what the model is.
      figures: commands, and what each printed; empty if none was measured.
    """

    about: str
    figures: str


def read(folder: pathlib.Path) -> Read:
    """Reads parts of the card of an exported model.

    Raises:
      InputError: it is missing, or no card of this project.
    """
    path = folder / model_folder.CARD
    try:
        head, *sections = path.read_text(encoding="utf-8").split("\n\n## ")
        about = head.split("\n\n")[1]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise InputError(f"{path} is no card of a model: export the model again.") from error
    figures = [each for each in sections if each.startswith(_FIGURES)]
    lines = figures[0].removeprefix(_FIGURES).splitlines() if figures else []
    return Read(about, "\n".join(each for each in lines if not each.startswith("```")).strip())


def _block(*commands: str) -> str:
    return "\n".join(["```", *commands, "```"])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])
