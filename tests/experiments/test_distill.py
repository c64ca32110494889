"""Distillation: a student goes where its teacher goes, resumes to the bit, and what is refused."""

import contextlib
import pathlib
from typing import Any

import jax
import numpy as np
import programs
import pytest
import soundfile
import tiny

import data
import wavenet_jax
from experiments.benchmarks import student as student_benchmark
from experiments.benchmarks.diagnosis import diagnose
from experiments.common import prosody, restore, signals
from experiments.common.reporting import history
from experiments.configs.schema import ExperimentConfig
from experiments.tasks import (
    evaluation,
    exporting,
    generation,
    prosody_training,
    speech,
    teaching,
    training,
)
from experiments.tasks.distillation import distill
from wavenet_jax import InputError
from wavenet_jax.checkpoints import Checkpoints

GAUSSIAN: dict[str, Any] = {
    "model.output": "gaussian",
    "model.input": "scalar",
    "model.num_classes": 65536,
    "model.companding": "linear",
    "num_steps": 3,
    "checkpoint_every": 3,
}
STUDENT: dict[str, Any] = {
    "task": "distill",
    "num_steps": 6,
    "checkpoint_every": 2,
    "student.num_flows": 2,
    "student.dilations": (1, 3),
    "student.residual_channels": 8,
    "student.gate_channels": 8,
    "student.skip_channels": 8,
    "student.fft_sizes": (32,),
}


def student_config(**changes: Any) -> ExperimentConfig:
    return tiny.experiment(**(GAUSSIAN | STUDENT | changes))


@pytest.fixture(scope="module")
def teacher_dir(tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("teacher")
    training.train(tiny.experiment(**GAUSSIAN), workdir=folder, data_dir=fsdd_dir)
    return folder


@pytest.fixture(scope="module")
def student_dir(
    tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path, teacher_dir: pathlib.Path
) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("student")
    result = distill(student_config(), teacher=teacher_dir, workdir=folder, data_dir=fsdd_dir)
    assert not result.stopped
    return folder


def test_what_a_run_of_a_student_is(student_dir: pathlib.Path) -> None:
    trained = restore.load(student_dir, "last")
    assert trained.run.student and trained.run.student.num_flows == 2
    assert trained.step == 6
    rows = history(student_dir)
    held_out = [row["held_out/kl_per_sample"] for row in rows if "held_out/kl_per_sample" in row]
    assert len(held_out) == 3 and np.all(np.isfinite(held_out)) and min(held_out) > 0
    assert {"train/kl_per_sample", "train/log_scale_error", "train/spectral_error"} <= rows[
        0
    ].keys()


def test_a_distillation_stopped_and_resumed(
    student_dir: pathlib.Path,
    teacher_dir: pathlib.Path,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the bit, its history too; and not with another teacher or student."""

    @contextlib.contextmanager
    def stop_at_3():
        yield lambda step: step == 3

    options: dict[str, Any] = {"workdir": tmp_path, "data_dir": fsdd_dir}
    with monkeypatch.context() as patch:
        patch.setattr(signals, "stop_on_signals", stop_at_3)
        assert distill(student_config(), teacher=teacher_dir, **options).stopped
    trained = restore.load(teacher_dir)
    other = trained._replace(params=jax.tree.map(lambda x: x + 1e-3, trained.params))
    with pytest.raises(InputError, match="--teacher has other parameters than the model that the"):
        training.train(student_config(), teacher=other, **options)
    changed = student_config(**{"student.scale_weight": 2.0})
    with pytest.raises(InputError, match="config.student.scale_weight is 2.0, and the run in the"):
        distill(changed, teacher=teacher_dir, **options)
    distill(student_config(), teacher=teacher_dir, **options)
    states = []
    for folder in (student_dir, tmp_path):
        with Checkpoints(folder, read_only=True) as saved:
            states.append(saved.restore("last").state)
    for mine, its in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(mine, its)
    mine, its = (
        [{name: x for name, x in row.items() if not name.startswith("time")} for row in rows]
        for rows in map(history, (student_dir, tmp_path))
    )
    assert mine == its


def test_a_student_is_sampled_exported_and_loaded(
    student_dir: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    exporting.export(student_dir, out=tmp_path / "folder", data_dir=fsdd_dir)
    card = (tmp_path / "folder" / "README.md").read_text()
    assert "parallel student of a WaveNet" in card
    assert "experiments.distill --config=" in card and "--teacher=TEACHER" in card
    options: dict[str, Any] = {"num_samples": 2, "seconds": 0.05, "seed": 3, "labels": ["low"]}
    files = []
    for folder, name in ((student_dir, "run"), (tmp_path / "folder", "model")):
        files.append(generation.sample(restore.load(folder), out=tmp_path / name, **options))
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()
    sound, rate = soundfile.read(files[0][1], dtype="int16")
    assert (len(sound), rate) == (400, 8000) and sound.any()
    model = wavenet_jax.load(tmp_path / "folder")
    chunks = list(model.generate(seconds=0.05, seed=3, index=1, labels="low", chunk_samples=100))
    assert [len(chunk) for chunk in chunks] == [100] * 4
    difference = np.concatenate(chunks).astype(int) - sound
    assert np.abs(difference).max() <= 1  # of values that lie beside the edge of a code


def test_what_is_refused(
    teacher_dir: pathlib.Path,
    student_dir: pathlib.Path,
    trained_dir: pathlib.Path,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    def refused(match: str, teacher: pathlib.Path = teacher_dir, **changes: Any) -> None:
        options: dict[str, Any] = {"workdir": tmp_path / "run", "data_dir": fsdd_dir}
        with pytest.raises(InputError, match=match):
            distill(student_config(**changes), teacher=teacher, **options)
        assert not (tmp_path / "run").exists()

    refused("config.task is 'generate': give a recipe of a student", task="generate")
    refused("whose output is 'categorical' and whose input is 'one_hot': train", trained_dir)
    refused(f"teacher is {student_dir}, a student: name the run of a WaveNet", student_dir)
    refused(
        "config.global_condition.labels is .., and the teacher has .'speaker'.: give the same",
        **{"global_condition.labels": ()},
    )
    refused(
        "config.model.residual_channels is 9, and the teacher has 8",
        **{"model.residual_channels": 9},
    )
    refused(
        "The corpus fsdd has other classes, questions or another filter than the teacher's",
        pre_emphasis=0.5,
    )
    refused(
        "config.model.output is 'categorical': distil from",
        **{"model.output": "categorical", "model.num_classes": 256, "model.input": "one_hot"},
    )
    refused(
        "config.training.scheduled_sampling is 0.5: give 0, for a student's input is noise",
        **{"training.scheduled_sampling": 0.5},
    )
    with pytest.raises(InputError, match="config.task is 'distill': use experiments.distill"):
        training.train(student_config(), workdir=tmp_path / "run", data_dir=fsdd_dir)
    trained = restore.load(student_dir)
    with pytest.raises(InputError, match="a student, which gives no likelihood of recordings"):
        evaluation.evaluate(trained, trained.run.load(fsdd_dir, "test"))
    soundfile.write(tmp_path / "prime.wav", np.arange(100, dtype=np.int16), 8000)
    prime = str(tmp_path / "prime.wav")
    with pytest.raises(InputError, match="cannot go on from a recording: leave the prime out"):
        generation.sample(trained, out=tmp_path / "out", prime=prime, labels=["low"])


def test_the_program(
    run: programs.Run,
    student_dir: pathlib.Path,
    teacher_dir: pathlib.Path,
    fsdd_dir: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    """A student's folder is named twice: what is trained already says so; the teacher is asked."""
    config = pathlib.Path(__file__).with_name("tiny.py")
    changes = GAUSSIAN | STUDENT
    flags = [f"--config.{name}={value}" for name, value in changes.items()]
    arguments = [f"--config={config}", f"--data_dir={fsdd_dir}", *flags]
    without = run("experiments.distill", *arguments, f"--workdir={tmp_path}")
    assert without.returncode == 1 and "--teacher is missing: name the folder" in without.stderr
    done = run(
        "experiments.distill", *arguments, f"--workdir={student_dir}", f"--teacher={teacher_dir}"
    )
    assert done.returncode == 0, done.stderr
    assert "is trained to step 6 already" in done.stderr


@pytest.mark.long
def test_diagnosis(fsdd_dir: pathlib.Path) -> None:
    figures = diagnose(student_config(batch_size=8), data_dir=fsdd_dir)
    assert figures["step_s"] > 0 and figures["receptive_field_ms"] == 1000 * 2 * 9 / 8000


@pytest.mark.long
def test_benchmark() -> None:
    measured = student_benchmark.student_figures(student_config(), batches=[2], repeats=1)
    adds = measured["multiply_adds_per_sample"]
    assert adds["teacher"] == 3 * 16 * 16 + 2 * 8 * 8 + 24 * 16 + 16 * 16 + 16 * 2
    assert adds["student"] == 2 * (2 * 24 * 16 + 8 * 8 + 16 * 8 + 8 * 2)
    (row,) = measured["rows"]
    assert row["ratio"] == row["student"] / max(row["teacher"].values())
    table = student_benchmark.as_table(measured)
    assert "ratio to the fastest" in table and f"{adds['teacher']:,}" in table
    with pytest.raises(InputError, match="--student measures a recipe of a student"):
        student_benchmark.student_figures(tiny.experiment(), batches=[1])


@pytest.mark.long
def test_a_student_speaks_with_its_teachers_prosody(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    corpora = tmp_path_factory.mktemp("corpora")
    data.build(
        "espeak",
        data_dir=corpora,
        num_utterances=12,
        words_per_minute=450,
        sample_rate_hz=4000,
    )
    changes: dict[str, Any] = {
        "dataset": "espeak",
        "sample_rate_hz": 4000,
        "voice": "en-us",
        "global_condition.labels": (),
        "local_condition.features": "linguistic_f0",
        "local_condition.channels": 4,
        "local_condition.hop_samples": 20,
        "prosody.num_steps": 2,
        "prosody.batch_size": 2,
        "prosody.channels": 8,
    }
    teacher, workdir = tmp_path / "teacher", tmp_path / "student"
    training.train(tiny.experiment(**(GAUSSIAN | changes)), workdir=teacher, data_dir=corpora)
    run = restore.load(teacher).run
    assert prosody_training.train_prosody(run, workdir=teacher, data_dir=corpora)
    config = student_config(**(changes | {"num_steps": 1}))
    distill(config, teacher=teacher, workdir=workdir, data_dir=corpora)
    trained = restore.load(workdir)
    spoken = prosody.load(workdir, trained.run)
    theirs = prosody.load(teacher, run)
    for mine, its in zip(
        *(jax.tree.leaves(each.pitch[1]) for each in (spoken, theirs)), strict=True
    ):
        np.testing.assert_array_equal(mine, its)
    assert teaching.copy_prosody(trained.run, teacher, workdir) == []
    example = speech.utterance(trained.run, text="seven")
    seconds = speech.speak(trained, spoken, example, out=tmp_path / "said.wav", seed=1)
    streamed = speech.stream(trained, spoken, example, seed=1)
    sound, _ = soundfile.read(tmp_path / "said.wav", dtype="int16")
    assert len(sound) == round(4000 * seconds) and sound.any()
    np.testing.assert_array_equal(np.concatenate(list(streamed.chunks)), sound)
