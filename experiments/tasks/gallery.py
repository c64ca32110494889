"""The gallery: a static page of what trained models sound like, beside recordings.

gallery/index.html
gallery/NAME/recorded_000.flac    a recording that it was not trained on
gallery/NAME/copy_000.flac        what the model makes of its conditions
gallery/NAME/spoken_000.flac      what it makes of a sentence
gallery/NAME/continued_000.flac   a recording's beginning, and how the model goes on
gallery/NAME/mixed_000_1.flac     what an autoencoder makes of the mean of two recordings
gallery/NAME/*.png                waveform and spectrogram of each
"""

import dataclasses
import functools
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
      num_continued: recordings that are begun by the first of the split.
      prime_s: how much of it begins them.
      seconds: how long they are with it.
      num_recognized: of its recordings, to recognise the phones of.
      mixed: names of one of its recordings and one of train, to generate the first again, the mean
        of both, and the second, all with the labels of the first.
      has_recordings: whether they may be shown, which is for whose they are to say; a beginning
        that may not is cut from what goes on from it.
      texts: sentences to speak.
      speakers: who speaks them, in turn; () for a model of one.
      drawing: flags of `sample`, `speak` and `transform`.
      folder: of the models.
    """

    name: str
    title: str
    prepare: Sequence[str] = ()
    split: str = "test"
    num_copies: int = 0
    num_continued: int = 0
    prime_s: float = 4.0
    seconds: float = 8.0
    num_recognized: int = 0
    mixed: Sequence[tuple[str, str]] = ()
    has_recordings: bool = True
    texts: Sequence[str] = ()
    speakers: Sequence[str] = ()
    drawing: Sequence[str] = ()
    folder: pathlib.Path = PRETRAINED


_MIXES = {
    "0": "generated from its embeddings",
    "0.5": "generated from the mean of its embeddings and those of the next recording",
    "1": "generated from those of the next recording",
}
"""Of the second recording in a mix, and what is said of it."""

_DRAWING = ("--top_p=0.95", "--comb_filter=1")  # docs/figures.md
_MATCHED = (*_DRAWING, "--spectral_matching=1")  # of models with a network of spectra
_VOICES = ("en-us", "en-us+f2", "en-us+f4", "en-us+m3", "en-us+m7", "en-us+croak")
_PEOPLE = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
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
        drawing=_MATCHED,
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
    Exhibit(
        "voices",
        "Six voices in one model",
        prepare=(
            "--dataset=espeak",
            "--domain=sentences",
            "--num_utterances=2400",
            "--num_test=120",
            f"--voices={','.join(_VOICES)}",
            "--sample_rate_hz=16000",
        ),
        texts=("the judge followed her friend",) * len(_VOICES),
        speakers=_VOICES,
        drawing=_DRAWING,
    ),
    Exhibit(
        "fsdd_text",
        "Six people, any digit",
        texts=("seven, three, nine",) * len(_PEOPLE),
        speakers=_PEOPLE,
        drawing=_MATCHED,
    ),
    Exhibit(  # of people's recordings, prepared as docs/vocoder.md says
        "vocoder",
        "A vocoder, of people whom it never heard",
        split="validation",
        num_copies=2,
        has_recordings=False,
        drawing=("--comb_filter=1", "--spectral_matching=1"),
    ),
    Exhibit(  # of recordings that are nobody's to give away here, prepared as docs/music.md says
        "violin",
        "Solo violin",
        split="validation",
        num_continued=2,
        has_recordings=False,
    ),
    Exhibit(
        "notes",
        "Notes from embeddings, and the mean of two",
        prepare=("--dataset=notes",),
        mixed=(
            ("piano-060-090+00", "organ-060-090+00"),
            ("vibraphone-061-090+00", "clarinet-061-090+00"),
            ("organ-062-090+00", "flute-062-090+00"),
        ),
        drawing=("--temperature=0.3",),  # docs/autoencoder.md
    ),
    Exhibit(
        "espeak_phones",
        "Phones recognised, in voices that it was not trained on",
        prepare=(
            "--dataset=espeak",
            "--domain=sentences",
            "--num_utterances=300",
            "--voices=en-us+f3,en-us+m3,en-us+m5",
            "--seed=1",
            "--sample_rate_hz=16000",
        ),
        num_recognized=3,
    ),
)


class Clip(NamedTuple):
    """A sound: what it is, int16 samples `[N]` at a rate in Hz, and what is said below it."""

    name: str
    title: str
    samples: np.ndarray
    sample_rate_hz: int
    remarks: Sequence[str] = ()


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
    made = _Made(exhibit, model, restore.load(model).run, work / "corpora", work / "made")
    clips = page / exhibit.name
    clips.mkdir()
    shown, commands = [], []
    for command, groups in made.everything():
        commands += [command]
        for group in groups:
            shown += ["<div>" + "".join(_figure(clip, clips) for clip in group) + "</div>\n"]
    card = model_card.read(model)
    return (
        f'<section id="{exhibit.name}">\n<h2>{html.escape(exhibit.title)}</h2>\n'
        f"<p>{html.escape(card.about)}</p>\n{''.join(shown)}"
        f"<p>Made by</p>\n<pre>{html.escape(chr(10).join(commands))}</pre>\n"
        f"<p>Measured on the {html.escape(exhibit.split)} split, by the commands of the card "
        f"<code>{html.escape(str(model))}/{model_folder.CARD}</code>:</p>\n"
        f"<pre>{html.escape(card.figures)}</pre>\n</section>\n"
    )


@dataclasses.dataclass(frozen=True)
class _Made:
    """What the programs make for an exhibit.

    Attributes:
      exhibit: what is to be made.
      model: its folder.
      run: the model's.
      corpora: folder of the corpus.
      folder: for what is made.
    """

    exhibit: Exhibit
    model: pathlib.Path
    run: Run
    corpora: pathlib.Path
    folder: pathlib.Path

    def everything(self) -> Iterator[tuple[str, list[list[Clip]]]]:
        """Runs the programs; yields each command line and its clips, by what belongs together."""
        exhibit = self.exhibit
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        needs_corpus = (
            exhibit.num_copies or exhibit.num_continued or exhibit.num_recognized or exhibit.mixed
        )
        if needs_corpus and exhibit.prepare:
            programs.run("prepare", *exhibit.prepare, f"--data_dir={self.corpora}")
        if exhibit.num_copies:
            yield self._copies()
        if exhibit.num_continued:
            yield self._continued()
        if exhibit.num_recognized:
            yield self._recognized()
        for i, names in enumerate(exhibit.mixed):
            yield self._mixed(i, *names)
        for i, text in enumerate(exhibit.texts):
            yield self._spoken(i, text)

    @functools.cached_property
    def _corpus(self) -> data.Corpus:
        return self.run.load(self.corpora, self.exhibit.split)

    @functools.cached_property
    def _train_corpus(self) -> data.Corpus:
        return self.run.load(self.corpora, "train")

    def _called(self, program: str, *arguments: str) -> str:
        programs.run(program, f"--workdir={self.model}", *arguments)
        return programs.command(program, f"--workdir={self.model}", *arguments)

    def _recorded(self, i: int) -> Clip:
        recording = self._corpus.recording(i)
        said = recording.get("text") or f"recording {i + 1}"
        rate = self.run.audio.sample_rate_hz
        return Clip(f"recorded_{i:03}", f"recorded: {said}", recording["audio"], rate)

    def _copies(self) -> tuple[str, list[list[Clip]]]:
        out, exhibit = self.folder / "copies", self.exhibit
        command = self._called(
            "sample",
            f"--data_dir={self.corpora}",
            f"--split={exhibit.split}",
            f"--num_samples={exhibit.num_copies}",
            "--seed=0",
            *exhibit.drawing,
            f"--out={out}",
        )
        groups = []
        for i in range(exhibit.num_copies):
            recorded = self._recorded(i)
            copy = _clip(out / f"sample_{i:03}.wav", f"copy_{i:03}", "generated")
            if exhibit.has_recordings:
                groups += [[recorded, copy]]
            else:
                said = recorded.title.removeprefix("recorded: ")
                groups += [[copy._replace(title=f"generated, of {self._corpus.names[i]}: {said}")]]
        return command, groups

    def _continued(self) -> tuple[str, list[list[Clip]]]:
        out, prime = self.folder / "continued", self.folder / "prime.wav"
        exhibit, recorded = self.exhibit, self._recorded(0)
        rate = recorded.sample_rate_hz
        num_prime = round(exhibit.prime_s * rate)
        soundfile.write(prime, recorded.samples[:num_prime], rate)
        command = self._called(
            "sample",
            f"--prime={prime}",
            f"--num_samples={exhibit.num_continued}",
            f"--seconds={exhibit.seconds:g}",
            "--seed=0",
            *exhibit.drawing,
            f"--out={out}",
        )
        of = f"{exhibit.prime_s:g} s of {self._corpus.names[0]}"
        groups = []
        for i in range(exhibit.num_continued):
            clip = _clip(out / f"sample_{i:03}.wav", f"continued_{i:03}", f"{of}, continued")
            if not exhibit.has_recordings:
                clip = clip._replace(
                    samples=clip.samples[num_prime:], title=f"generated, after {of}"
                )
            groups += [[clip]]
        return command, groups

    def _recognized(self) -> tuple[str, list[list[Clip]]]:
        out, phones = self.folder / "phones", self.run.phones
        clips = [self._recorded(i) for i in range(self.exhibit.num_recognized)]
        for clip in clips:
            soundfile.write(self.folder / f"{clip.name}.wav", clip.samples, clip.sample_rate_hz)
        paths = [str(self.folder / f"{clip.name}.wav") for clip in clips]
        command = self._called("recognize", *paths, f"--out={out}")
        groups = []
        for i, clip in enumerate(clips):
            spoken = phones.transcript(self._corpus.recording(i))
            lines = (out / f"{clip.name}.txt").read_text().splitlines()
            heard = phones.scored(phones.names.index(line.split(maxsplit=2)[2]) for line in lines)
            remarks = (f"spoken: {' '.join(spoken)}", f"recognised: {' '.join(heard)}")
            groups += [[clip._replace(remarks=remarks)]]
        return command, groups

    def _mixed(self, i: int, name: str, other: str) -> tuple[str, list[list[Clip]]]:
        out, rate = self.folder / f"mixed_{i:03}", self.run.audio.sample_rate_hz
        clips: list[Clip] = []
        paths: list[pathlib.Path] = []
        index = self._corpus.names.index(name)
        partner = self._train_corpus.names.index(other)
        for corpus, place in ((self._corpus, index), (self._train_corpus, partner)):
            stem = corpus.names[place].removesuffix(".wav")
            samples = corpus.recording(place)["audio"]
            clips += [Clip(f"heard_{i:03}_{len(clips)}", f"recorded: {stem}", samples, rate)]
            paths += [self.folder / f"{stem}.wav"]
            soundfile.write(paths[-1], samples, rate)
        labels = [
            self._corpus.class_names[label][self._corpus.label(index, label)]
            for label in self.run.audio.global_labels
        ]
        command = self._called(
            "transform",
            f"--label={'+'.join(labels)}",
            f"--mix_with={paths[1]}",
            f"--weights={','.join(_MIXES)}",
            "--seed=0",
            *self.exhibit.drawing,
            f"--out={out}",
            str(paths[0]),
        )
        for j, (weight, title) in enumerate(_MIXES.items()):
            path = out / f"{paths[0].stem}_with_{weight}_{paths[1].stem}_{'+'.join(labels)}.wav"
            clips += [_clip(path, f"mixed_{i:03}_{j}", title)]
        recorded, with_it, *generated = clips
        return command, [[recorded, *generated, with_it]]

    def _spoken(self, i: int, text: str) -> tuple[str, list[list[Clip]]]:
        path, title, by = self.folder / f"spoken_{i:03}.wav", f"spoken: {text}", []
        if speakers := self.exhibit.speakers:
            speaker = speakers[i % len(speakers)]
            by, title = [f"--speaker={speaker}"], f"spoken by {speaker}: {text}"
        command = self._called(
            "speak", f"--text={text}", "--seed=0", *self.exhibit.drawing, *by, f"--out={path}"
        )
        return command, [[_clip(path, path.stem, title)]]


def _clip(path: pathlib.Path, name: str, title: str) -> Clip:
    samples, rate = soundfile.read(path, dtype="int16")
    return Clip(name, title, samples, rate)


def _figure(clip: Clip, folder: pathlib.Path) -> str:
    """Writes a sound and its picture; returns their part of the page."""
    soundfile.write(folder / f"{clip.name}.flac", clip.samples, clip.sample_rate_hz)
    picture = plots.spectrograms([("", clip.samples)], clip.sample_rate_hz)
    plots.save(picture, folder / f"{clip.name}.png", dpi=60)
    return pages.sound(clip.title, f"{folder.name}/{clip.name}", ".flac", clip.remarks)
