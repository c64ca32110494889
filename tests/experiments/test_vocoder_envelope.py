"""A vocoder of the excitation: training, generation, previews and model files go through the
filter that its mel spectrogram makes."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile
import tiny

from experiments.common import restore
from experiments.configs.schema import ExperimentConfig
from experiments.tasks import exporting, generation, training
from wavenet_jax import InputError, model_folder

ORDER = 8
MEL: dict[str, Any] = {"features": "mel", "channels": 4} | tiny.MEL


def config(**changes: Any) -> ExperimentConfig:
    flags = {f"local_condition.{name}": value for name, value in MEL.items()}
    flags |= {"global_condition.labels": (), "num_steps": 4, "checkpoint_every": 2}
    flags |= {"noise_shaping": 0.8, "noise_shaping_order": ORDER, "noise_shaping_of": "frames"}
    return tiny.experiment(**(flags | changes))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("vocoder")
    training.train(config(), workdir=folder, data_dir=fsdd_dir)
    return folder


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir)


def of_excitation(model):
    """The model as one of its excitation, which no filter follows."""
    return dataclasses.replace(model, audio=dataclasses.replace(model.audio, envelope=None))


def test_it_learns_the_excitation(trained, fsdd_dir) -> None:
    run = trained.run
    assert run.audio.envelope is not None and run.audio.envelope.order == ORDER
    corpus = run.load(fsdd_dir, "validation")
    recording = next(run.recordings(corpus))
    sound = corpus.recording(0)["audio"]
    excitation = run.audio.apply_filter(sound, recording["local"])
    np.testing.assert_array_equal(recording["samples"], excitation)
    train = run.load(fsdd_dir, "train")
    excitations = [each["samples"] for each in run.recordings(train)]
    batch = next(run.windows(train))
    for window, mask in zip(batch["samples"], batch["mask"], strict=True):
        scored = window[len(window) - len(mask) :][mask]
        assert any(_holds(whole, scored) for whole in excitations)


def _holds(whole: np.ndarray, part: np.ndarray) -> bool:
    views = np.lib.stride_tricks.sliding_window_view(whole, len(part))
    return len(whole) >= len(part) and bool(np.any(np.all(views == part, axis=1)))


def test_what_is_generated_has_the_envelope(trained, fsdd_dir) -> None:
    """Whole, in chunks, with frames as they arrive, and after a prime."""
    model, run = trained.generator, trained.run
    recording = next(run.recordings(run.load(fsdd_dir, "validation")))
    sound = run.load(fsdd_dir, "validation").recording(0)["audio"]
    frames = recording["local"][:20]
    options: dict[str, Any] = {"seed": 5, "chunk_samples": 70}
    whole = np.concatenate([*model.generate(local_condition=frames, **options)])
    excitation = np.concatenate([*of_excitation(model).generate(local_condition=frames, **options)])
    assert len(whole) == 400
    inverse = model.audio.inverse_filter(frames=frames)
    np.testing.assert_array_equal(whole, inverse(excitation))
    arriving = iter([frames[:3], frames[3:4], frames[4:]])
    parts = [*model.generate(local_condition=arriving, **options)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)

    prime = sound[:130]
    later = np.concatenate([*model.generate(local_condition=frames, prime=prime, **options)])
    primed = of_excitation(model).generate(
        local_condition=frames, prime=recording["samples"][:130], **options
    )
    inverse = model.audio.inverse_filter(prime, frames)
    np.testing.assert_array_equal(later, inverse(np.concatenate([*primed])))
    with pytest.raises(InputError, match="its mel spectrogram 0 frames: give one each 20 samples"):
        model.generate(local_condition=iter([frames]), prime=prime)


def test_a_model_file_and_a_preview(workdir, trained, fsdd_dir, tmp_path) -> None:
    exporting.export(workdir, out=tmp_path / "folder", data_dir=fsdd_dir)
    files = []
    for folder, name in ((workdir, "run"), (tmp_path / "folder", "model")):
        model = restore.load(folder)
        corpus = model.run.load(fsdd_dir, "test")
        options: dict[str, Any] = {"num_samples": 2, "seconds": 0.05, "corpus": corpus}
        files.append(generation.sample(model, out=tmp_path / name, **options))
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert soundfile.info(one).frames == 400
    card = (tmp_path / "folder" / "README.md").read_text()
    assert "--config.noise_shaping_of=frames" in card
    corpus = trained.run.load(fsdd_dir, "validation")
    _, recorded = training._preview(trained, corpus)
    sound = corpus.recording(0)["audio"][: len(recorded)]
    assert np.corrcoef(recorded, sound)[0, 1] > 0.99


@pytest.mark.parametrize("changes", [{"hop_samples": 10}, {"bands": [0.1, 0.2]}])
def test_an_envelope_of_other_frames_is_refused(trained, tmp_path, changes) -> None:
    description = trained.run.to_dict()
    description["audio"] = description["audio"] | {
        "envelope": description["audio"]["envelope"] | changes
    }
    saved = model_folder.SavedModel(trained.run.model, trained.params, 4, description)
    model_folder.write(tmp_path / "folder", saved)
    with pytest.raises(InputError, match="The audio's envelope is of .* bands each .* samples, a"):
        restore.load(tmp_path / "folder")


def test_what_is_refused(workdir, fsdd_dir, tmp_path) -> None:
    for changes, message in (
        ({"local_condition.features": ""}, "noise_shaping_of is 'frames', which are those of the"),
        ({"pre_emphasis": 0.5}, "noise_shaping is 0.8 and --config.pre_emphasis 0.5: set one"),
        ({"noise_shaping_of": "mel"}, "noise_shaping_of is 'mel': use one of corpus, frames"),
    ):
        with pytest.raises(InputError, match=message):
            training.train(config(**changes), workdir=tmp_path / "run", data_dir=fsdd_dir)
    for name, value in (("noise_shaping_of", "corpus"), ("noise_shaping_order", 9)):
        with pytest.raises(InputError, match=f"{name} is .*, and the run .* has .*: give the same"):
            training.train(config(**{name: value}), workdir=workdir, data_dir=fsdd_dir)
