"""The way of docs/own_voice.md, from clips and a table to a spoken sentence, with few steps."""

import csv
import pathlib
import types

import ml_collections
import pytest
import soundfile

from experiments.common import prosody, restore
from experiments.configs import own_voice, own_voice_22k, schema
from experiments.tasks import corpora, prosody_training, speech, training

SHARED = pathlib.Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Of seven of LJ Speech's clips, beside links to them."""
    for package in ("espeakng_loader", "parselmouth"):
        pytest.importorskip(package, reason="eSpeak NG and Praat are in the extra demo")
    if not (SHARED / "ljspeech").is_dir():
        pytest.skip(f"the recordings of LJ Speech are not at {SHARED}")
    root = tmp_path_factory.mktemp("own_voice")
    (root / "clips").mkdir()
    lines = (SHARED / "ljspeech" / "metadata.csv").read_text(encoding="utf-8").splitlines()
    with (root / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "text", "speaker"])
        for line in [*lines[1:4], *lines[7:11]]:
            name, _, text = line.split("|")
            clip = SHARED / "ljspeech" / "wavs" / f"{name}.wav"
            (root / "clips" / clip.name).symlink_to(clip)
            writer.writerow([clip.name, text, "linda"])
    return root / "table.csv"


def small(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The recipe with a network and steps that are no longer any use."""
    config.model.update(residual_channels=8, gate_channels=8, skip_channels=8, head_channels=8)
    config.model.dilations = config.model.dilations[:3]
    config.local_condition.channels = 8
    config.training.fused = "off"
    config.prosody.update(num_steps=2, batch_size=2, channels=8)
    config.num_steps = config.checkpoint_every = 3
    config.preview_s = 0.0
    return config


@pytest.mark.parametrize(
    ("recipe", "rate_hz", "speaker"),
    [
        (own_voice, 16000, None),
        pytest.param(own_voice_22k, 22050, "linda", marks=pytest.mark.long),
    ],
)
def test_from_clips_to_a_sentence(
    table: pathlib.Path,
    tmp_path: pathlib.Path,
    recipe: types.ModuleType,
    rate_hz: int,
    speaker: str | None,
) -> None:
    """Without the speaker, as the recipes are, and with it."""
    printed = corpora.prepare(
        "folder",
        data_dir=tmp_path,
        source=table.parent / "clips",
        labels=str(table),
        align="en-us",
        f0=True,
        sample_rate_hz=rate_hz,
        licence="public domain",
    )
    assert "speaker: 1 classes (linda)" in printed
    assert "licence: public domain" in printed
    config = small(recipe.get_config())
    if speaker:
        config.global_condition.labels = ("speaker",)
    workdir = tmp_path / "run"
    training.train(schema.from_config_dict(config), workdir=workdir, data_dir=tmp_path)
    trained = restore.load(workdir)
    assert prosody_training.train_prosody(trained.run, workdir=workdir, data_dir=tmp_path)
    spoken = prosody.load(workdir, trained.run)
    example = speech.utterance(trained.run, text="the art")
    out = tmp_path / "said.wav"
    seconds = speech.speak(trained, spoken, example, out=out, speaker=speaker)
    sound = soundfile.info(out)
    assert (sound.samplerate, sound.duration) == (rate_hz, pytest.approx(seconds))
