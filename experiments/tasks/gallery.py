"""The gallery: a static page of what trained models sound like, beside recordings.

gallery/index.html
gallery/NAME/recorded_000.flac    a recording that it was not trained on
gallery/NAME/copy_000.flac        what the model makes of its conditions
gallery/NAME/spoken_000.flac      what it makes of a sentence
gallery/NAME/*.png                waveform and spectrogram of each
"""

import dataclasses
import html
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import soundfile

import data
from experiments.common import cli, pages, plots, programs, restore
from experiments.common.run import Run
from experiments.tasks import model_card
from wavenet_jax import InputError, model_folder

PRETRAINED = pathlib.Path("experiments/pretrained")
MAX_SOUND_BYTES = 4_000_000


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """A trained model, and what it is shown by.

    Attributes:
      name: of its folder.
      title: for people.
      prepare: flags of `experiments.prepare` for the corpus beside it; `prepare` is not called
        without.
      split: of recordings that it was not trained on.
      num_copies: of its recordings, to generate from the conditions of.
      has_recordings: whether they may be shown, which is for whose they are to say.
      texts: sentences to speak.
      speakers: who speaks them, in turn; () for a model of one.
      drawing: flags of `sample` and `speak`.
      folder: of the models.
    """

    name: str
    title: str
    prepare: Sequence[str] = ()
    split: str = "test"
    num_copies: int = 0
    has_recordings: bool = True
    texts: Sequence[str] = ()
    speakers: Sequence[str] = ()
    drawing: Sequence[str] = ()
    folder: pathlib.Path = PRETRAINED


_DRAWING = ("--top_p=0.95", "--comb_filter=1")  # docs/figures.md
EXHIBITS = (
    Exhibit(
        "tts",
        "Text-to-speech",
        prepare=(
            "--dataset=espeak",
            "--domain=everyday",
            "--num_utterances=3000",
            "--num_test=160",
            "--sample_rate_hz=16000",
        ),
        num_copies=3,
        texts=(
            "the curious judge followed her shadow",
            "we choose to go to the moon",
            "she sells sea shells by the sea shore",
        ),
        drawing=_DRAWING,
    ),
    Exhibit(
        "digits",
        "Spoken digits",
        prepare=(
            "--dataset=espeak",
            "--num_utterances=900",
            "--num_test=96",
            "--sample_rate_hz=16000",
        ),
        num_copies=3,
        texts=("nine eight seven six five", "four three two one zero"),
        drawing=_DRAWING,
    ),
)


class Clip(NamedTuple):
    """A sound: what it is, and int16 samples `[N]` at a rate in Hz."""

    name: str
    title: str
    samples: np.ndarray
    sample_rate_hz: int


def make(
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str],
    exhibits: Sequence[Exhibit] = EXHIBITS,
) -> pathlib.Path:
    """Makes the gallery, which replaces that of before once it is complete.

    Args:
      out: its folder.
      data_dir: folder for the corpora and for what is generated.
      exhibits: the models.

    Returns:
      The page.

    Raises:
      InputError: a model is missing or damaged, or there is more sound than `MAX_SOUND_BYTES`.
      SystemExit: a program failed.
    """
    folder = pathlib.Path(out)
    if folder.exists() and not (folder / pages.INDEX).exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is no gallery: give --out as a new folder.")
    parent = cli.require_writable(folder.absolute().parent)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=parent) as beside:
        unfinished = pathlib.Path(beside) / folder.name
        unfinished.mkdir()
        sections = [
            _section(exhibit, pathlib.Path(data_dir) / exhibit.name, unfinished)
            for exhibit in exhibits
        ]
        pages.write(
            unfinished / pages.INDEX,
            "WaveNet for JAX: a gallery",
            "<p>What the models in <code>experiments/pretrained</code> sound like: the first "
            "recordings that they were not trained on, and sentences, with the first seeds, "
            "each by a command below it.</p>\n" + "".join(sections),
        )
        if (size := sound_bytes(unfinished)) > MAX_SOUND_BYTES:
            raise InputError(
                f"The gallery has {size:,} bytes of sound, more than {MAX_SOUND_BYTES:,}: show "
                "fewer or shorter clips."
            )
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    return folder / pages.INDEX


def sound_bytes(folder: pathlib.Path) -> int:
    """Bytes of the sound files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.flac"))


def _section(exhibit: Exhibit, work: pathlib.Path, page: pathlib.Path) -> str:
    """Generates the sounds of a model below `page`; returns its part of the page."""
    model = exhibit.folder / exhibit.name
    run = restore.load(model).run
    clips = page / exhibit.name
    clips.mkdir()
    shown, commands = [], []
    for commanded, pairs in _generated(exhibit, model, run, work):
        commands += [commanded]
        for pair in pairs:
            shown += ["<div>" + "".join(_figure(clip, clips) for clip in pair) + "</div>\n"]
    card = model_card.read(model)
    return (
        f'<section id="{exhibit.name}">\n<h2>{html.escape(exhibit.title)}</h2>\n'
        f"<p>{html.escape(card.about)}</p>\n{''.join(shown)}"
        f"<p>Made by</p>\n<pre>{html.escape(chr(10).join(commands))}</pre>\n"
        f"<p>Measured on the {html.escape(exhibit.split)} split, by the commands of the card "
        f"<code>{html.escape(str(model))}/{model_folder.CARD}</code>:</p>\n"
        f"<pre>{html.escape(card.figures)}</pre>\n</section>\n"
    )


def _generated(
    exhibit: Exhibit, model: pathlib.Path, run: Run, work: pathlib.Path
) -> Iterator[tuple[str, list[list[Clip]]]]:
    """Runs the programs; yields each command line and its clips, those that belong together."""
    rate = run.audio.sample_rate_hz
    corpora, made = work / "corpora", work / "made"
    if made.exists():
        shutil.rmtree(made)
    if exhibit.num_copies:
        if exhibit.prepare:
            programs.run("prepare", *exhibit.prepare, f"--data_dir={corpora}")
        flags = [
            f"--workdir={model}",
            f"--data_dir={corpora}",
            f"--split={exhibit.split}",
            f"--num_samples={exhibit.num_copies}",
            "--seed=0",
            *exhibit.drawing,
            f"--out={made / 'copies'}",
        ]
        programs.run("sample", *flags)
        corpus = data.load(run.config.dataset, corpora, exhibit.split)
        pairs = []
        for i in range(exhibit.num_copies):
            recording = corpus.recording(i)
            said = recording.get("text") or f"recording {i + 1}"
            samples, _ = soundfile.read(made / "copies" / f"sample_{i:03}.wav", dtype="int16")
            if exhibit.has_recordings:
                recorded = Clip(f"recorded_{i:03}", f"recorded: {said}", recording["audio"], rate)
                pairs += [[recorded, Clip(f"copy_{i:03}", "generated", samples, rate)]]
            else:
                title = f"generated, of {corpus.names[i]}: {said}"
                pairs += [[Clip(f"copy_{i:03}", title, samples, rate)]]
        yield programs.command("sample", *flags), pairs
    for i, text in enumerate(exhibit.texts):
        path = made / f"spoken_{i:03}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = [f"--workdir={model}", f"--text={text}", "--seed=0", *exhibit.drawing]
        title = f"spoken: {text}"
        if exhibit.speakers:
            speaker = exhibit.speakers[i % len(exhibit.speakers)]
            flags, title = [*flags, f"--speaker={speaker}"], f"spoken by {speaker}: {text}"
        programs.run("speak", *flags, f"--out={path}")
        samples, _ = soundfile.read(path, dtype="int16")
        clip = Clip(path.stem, title, samples, rate)
        yield programs.command("speak", *flags, f"--out={path}"), [[clip]]


def _figure(clip: Clip, folder: pathlib.Path) -> str:
    """Writes a sound and its picture; returns their part of the page."""
    soundfile.write(folder / f"{clip.name}.flac", clip.samples, clip.sample_rate_hz)
    picture = plots.spectrograms([("", clip.samples)], clip.sample_rate_hz)
    plots.save(picture, folder / f"{clip.name}.png", dpi=60)
    return pages.sound(clip.title, f"{folder.name}/{clip.name}", ".flac")
