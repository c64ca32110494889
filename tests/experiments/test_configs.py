"""Every config builds, and is the model that its figures were measured with."""

import importlib.util
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
import pytest

from data.datasets.timit.timit_dataset_builder import PHONES
from data.text.frames import NUM_PITCH
from experiments.common.local_features import LOCAL_FEATURES
from experiments.common.run import Run
from experiments.configs import schema
from wavenet_jax import InputError, receptive_field, storage, training

CONFIGS = pathlib.Path(__file__).parents[2] / "experiments" / "configs"

# File: (classes of the corpus's labels, sample rate, parameters, receptive field).
PINNED = {
    "beethoven": ({}, 16000, 4117760, 4093),
    "demo": ({"phones": 23}, 8000, 188544, 485),
    "digits": ({"phones": 23}, 16000, 205664, 971),
    "espeak_phones": ({"phones": 60}, 16000, 363644, 1024),
    "fsdd": ({"speaker": 6}, 8000, 152032, 485),
    "fsdd_fftnet": ({"speaker": 6}, 8000, 154144, 512),
    "fsdd_text": ({"speaker": 6, "phones": 22}, 8000, 637664, 971),
    "multispeaker": ({"speaker": 109}, 16000, 1508544, 3070),
    "gaussian": ({"phones": 23}, 8000, 474946, 485),
    "music_tags": ({"tags": 50}, 16000, 2026560, 68859),
    "notes": ({"pitch": 24}, 8000, 537168, 485),
    "nsynth": ({"pitch": 128}, 16000, 65316368, 6141),
    "own_voice": ({"phones": 60}, 16000, 639360, 971),
    "own_voice_22k": ({"phones": 60}, 22050, 738048, 2915),
    "piano": ({}, 16000, 1712064, 68859),
    "reference": ({}, 16000, 1255808, 3070),
    "sc09": ({"digit": 10}, 16000, 4117760, 4093),
    "student": ({"phones": 23}, 8000, 60260, 485),
    "timit": ({"phones": 61}, 16000, 1114992, 1024),
    "tts": ({"phones": 60}, 16000, 639360, 971),
    "violin": ({}, 8000, 242112, 34285),
    "vocoder": ({}, 22050, 214592, 1457),
    "vocoder_16k": ({}, 16000, 606720, 971),
    "youtubemix": ({}, 16000, 4117760, 4093),
    "voices": ({"phones": 60, "speaker": 6}, 16000, 228864, 971),
}


class Corpus:
    """Stands in for a prepared corpus, of which a config needs these alone."""

    def __init__(
        self,
        name: str,
        sample_rate_hz: int,
        num_classes: dict[str, int],
        questions: tuple[str, ...] = (),
    ) -> None:
        self.questions = questions
        self.name, self.sample_rate_hz = name, sample_rate_hz
        self.class_names = {
            label: tuple(f"{label}{i}" for i in range(count))
            for label, count in num_classes.items()
        }
        if name == "timit":
            self.class_names["phones"] = PHONES
        self.multi_label = {"tags"}
        self.lengths = np.array([60 * sample_rate_hz])

    def __len__(self) -> int:
        return 1

    def recording(self, i: int) -> dict[str, np.ndarray]:
        places = np.arange(len(self.class_names["phones"]))
        return {"phones": places, "phone_starts": places * 800, "phone_ends": (places + 1) * 800}


def get_config(name: str) -> ml_collections.ConfigDict:
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def create(config: ml_collections.ConfigDict, corpus: Corpus) -> Run:
    given: Any = corpus
    return Run.create(schema.from_config_dict(config), given)


def pinned_run(name: str) -> Run:
    num_classes, sample_rate_hz, *_ = PINNED[name]
    config = get_config(name)
    return create(config, Corpus(config.dataset, sample_rate_hz, num_classes))


def stored(run: Run) -> Run:
    """A run as a checkpoint gives it back."""
    return Run.from_description(storage.with_versions(run.to_dict()), run.model)


def test_none_is_left_out() -> None:
    files = {path.stem for path in CONFIGS.glob("*.py")} - {"__init__", "schema"}
    assert files == set(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_a_config_builds_what_it_is_pinned_to(name: str) -> None:
    *_, num_parameters, field = PINNED[name]
    config, run = get_config(name), pinned_run(name)
    state = jax.eval_shape(lambda: training.init_state(run.model, run.training))
    counted = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert (counted, receptive_field(run.wavenet)) == (num_parameters, field)
    assert run.training.num_steps == config.num_steps > 0
    assert config.checkpoint_every > 0
    assert config.segment_samples % run.hop_samples == 0
    assert config.local_condition.features in ("", *LOCAL_FEATURES)
    assert (run.mel is not None) == (name in ("vocoder", "vocoder_16k"))
    assert (run.recognizer is not None) == (name in ("timit", "espeak_phones"))
    assert (run.autoencoder is not None) == (name in ("notes", "nsynth"))


@pytest.mark.parametrize("name", PINNED)
def test_a_config_survives_its_checkpoint(name: str) -> None:
    """What sampling reads from a checkpoint is the run that trained."""
    run = pinned_run(name)
    again = stored(run)
    assert (again.config, again.model, again.audio) == (run.config, run.model, run.audio)
    assert again.training == run.training
    run.check_continues(again)


@pytest.mark.parametrize("name", PINNED)
def test_what_a_model_can_be_matched_by_has_names(name: str) -> None:
    """As many as it has classes of labels, columns of features and phones."""
    run = pinned_run(name)
    sizes = {
        "global_condition": run.wavenet.global_condition and run.wavenet.global_condition.size,
        "local_condition": run.wavenet.local_condition and run.wavenet.local_condition.size,
        "classes": run.recognizer and run.recognizer.num_outputs,
    }
    axes = run.named_axes(run)
    assert {axis.of: len(axis.names) for axis in axes} == {of: n for of, n in sizes.items() if n}
    assert all(axis.names == axis.pretrained_names for axis in axes)
    assert all(len(set(axis.names)) == len(axis.names) for axis in axes)


def test_phones_are_matched_whatever_the_features() -> None:
    """A phone of `phones` is that of `linguistic_f0`, and the two before it are new."""
    demo = pinned_run("demo")
    config = get_config("demo")
    config.local_condition.features = "linguistic_f0"
    (axis,) = create(config, Corpus(config.dataset, 8000, {"phones": 23})).named_axes(demo)
    assert axis.unused == []
    assert "phone -2: phones0" in axis.new
    assert not {"phone: phones0", "phone -1: phones0", "voiced", "duration"} & set(axis.new)


def test_tags_are_as_many_as_are_named() -> None:
    config = get_config("music_tags")
    corpus = Corpus(config.dataset, 16000, {"tags": 50})
    run = create(config, corpus)
    condition = run.audio.global_condition(["tags3", "tags49"])
    assert np.flatnonzero(condition).tolist() == [3, 49]
    assert (condition.dtype, condition.shape) == (np.int32, (50,))
    with pytest.raises(InputError, match="There is no tags 'loud': use one of tags0, "):
        run.audio.global_condition(["tags3", "loud"])
    config.global_condition.multi_label = False
    with pytest.raises(InputError, match="may have several classes of tags: .*multi_label=True"):
        create(config, corpus)
    speakers = Corpus("vctk", 16000, {"speaker": 9, "tags": 2})
    config.global_condition.update({"multi_label": True, "labels": ("speaker",)})
    with pytest.raises(InputError, match="may have one class of speaker: give .*multi_label=False"):
        create(config, speakers)
    config.global_condition.labels = ("tags", "speaker")
    with pytest.raises(InputError, match="multi_label is True for 2 labels: name one label"):
        create(config, speakers)


@pytest.mark.parametrize(
    ("features", "with_pitch"), [("linguistic", False), ("linguistic_f0", True)]
)
def test_linguistic_features_are_as_wide_as_the_model_takes(
    features: str, with_pitch: bool
) -> None:
    """L and L+F of the paper, which differ in two columns."""
    config = get_config("demo")
    config.local_condition.features = features
    run = create(config, Corpus(config.dataset, 8000, {"phones": 23}))
    example = {
        "audio": np.zeros(1000, np.int16),
        "phones": np.array([0, 5]),
        "phone_starts": np.array([0, 400]),
        "phone_ends": np.array([400, 1000]),
        "word_starts": np.array([400]),
        "word_ends": np.array([1000]),
        "f0_hz": np.zeros(25, np.float32),
    }
    frames = run.local_features(example)
    assert frames.shape == (25, run.wavenet.local_condition.size)
    assert frames.shape[1] == 5 * 23 + 12 + 4 + with_pitch * NUM_PITCH
    contexts = run.phone_contexts(example)
    assert contexts.shape == (2, 5 * 23 + 12)
    np.testing.assert_array_equal(frames[:, : 5 * 23 + 12], np.repeat(contexts, [10, 15], axis=0))


QUESTIONS = ('QS "C-b" {-b+}', 'QS "C-c" {-c+}', r'CQS "n" {@(\d+)_}')


def hts_run(features: str, questions: tuple[str, ...] = QUESTIONS) -> Run:
    config = get_config("demo")
    config.dataset = "hts"
    config.local_condition.features = features
    return create(config, Corpus("hts", 8000, {}, questions))


@pytest.mark.parametrize(("features", "with_pitch"), [("hts", False), ("hts_f0", True)])
def test_answers_to_questions_are_as_wide_as_the_model_takes(
    features: str, with_pitch: bool
) -> None:
    """And a checkpoint that has the questions answers them without the corpus."""
    run = stored(hts_run(features))
    assert run.audio.classes == {}
    assert run.questions == QUESTIONS
    example = {
        "audio": np.zeros(1000, np.int16),
        "labels": ("x^a-b+c=x@5_x", "a^b-c+x=x@x_x"),
        "phone_starts": np.array([0, 400]),
        "phone_ends": np.array([400, 1000]),
        "f0_hz": np.zeros(25, np.float32),
    }
    frames = run.local_features(example)
    assert (
        frames.shape == (25, run.wavenet.local_condition.size) == (25, 7 + with_pitch * NUM_PITCH)
    )
    contexts = run.phone_contexts(example)
    np.testing.assert_allclose(contexts, [[1, 0, 1], [0, 1, -0.2]])
    np.testing.assert_array_equal(frames[:, :3], np.repeat(contexts, [10, 15], axis=0))


@pytest.mark.parametrize("name", ["demo", "vocoder", "reference"])
def test_frames_of_no_contexts(name: str) -> None:
    """Phones, mel spectrograms, nothing."""
    assert pinned_run(name).phone_contexts is None


def test_a_corpus_without_questions_is_refused() -> None:
    with pytest.raises(InputError, match="corpus has no HTS questions: prepare it with --quest"):
        hts_run("hts", ())


def test_other_questions_are_refused_without_reciting_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = tuple(f'QS "q{i}" {{*-{i}+*}}' for i in range(400))
    run = hts_run("hts", many)
    corpus: Any = Corpus("hts", 8000, {})
    monkeypatch.setattr("experiments.common.run.data.load", lambda *_, **__: corpus)
    for other, here, there in (
        ((*many[:30], *many[31:]), "q31.*q32.*q33", "q30.*q31.*q32"),
        (many[:399], "...", 'QS "q399"'),
    ):
        corpus.questions = other
        message = f"has the questions ..., .*{here}.*was made for ..., .*{there}"
        with pytest.raises(InputError, match=message) as refused:
            run.load("corpora", "train")
        assert len(str(refused.value)) < 400
    corpus.questions = many
    assert run.load("corpora", "train") is corpus
    other = (*many[:30], 'QS "other" {*}', *many[31:])
    with pytest.raises(
        InputError, match=r"has the questions .*other.* trained on .*q30"
    ) as refused:
        hts_run("hts", other).check_continues(stored(run))
    assert len(str(refused.value)) < 400
