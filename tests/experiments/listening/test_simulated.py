"""Rehearsals: answers that are made up, and said to be so."""

import shutil

import pytest

from experiments.listening import answers, description, preparing, reporting, simulated
from experiments.listening.description import COMPARISON, KINDS, MOS
from wavenet_jax import InputError


@pytest.fixture
def test_dir(tmp_path):
    folder = tmp_path / "test"
    folder.mkdir()
    texts = [f"t{i}" for i in range(12)]
    test = preparing.describe(MOS, ["ours", "theirs"], texts, sample_rate_hz=16000)
    description.write(test, folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_rehearsal_has_a_report_that_says_so(kind, tmp_path) -> None:
    texts = [f"t{i}" for i in range(12)]
    test = preparing.describe(kind, ["ours", "theirs"], texts, sample_rate_hz=16000)
    description.write(test, tmp_path)
    number = simulated.rehearse(test, tmp_path / "made_up", {"ours": 4.0, "theirs": 2.0})
    assert number == len(list((tmp_path / "made_up").iterdir())) == len(test.sessions)
    report = reporting.of_answers(tmp_path / "made_up", tmp_path)
    assert report.is_made_up
    assert "Made-up answers: nobody has listened." in reporting.markdown(report)
    (pair,) = [
        each for each in report.comparisons if {each.first, each.second} == {"ours", "theirs"}
    ]
    assert pair.first == "ours" and pair.difference.value > 0 and pair.corrected_p < 0.05


def test_made_up_answers_and_those_of_people_are_not_one_report(test_dir, tmp_path) -> None:
    test = description.read(test_dir)
    simulated.rehearse(test, tmp_path / "made_up", {})
    mixed = tmp_path / "mixed"
    shutil.copytree(tmp_path / "made_up", mixed)
    (mixed / f"{answers.MADE_UP}001.jsonl").rename(mixed / "somebody.jsonl")
    with pytest.raises(InputError, match="answers of people and made-up ones, made_up_"):
        reporting.of_answers(mixed, test_dir)
    for path in mixed.glob("made_up_*"):
        path.rename(mixed / path.name.removeprefix("made_up_"))
    report = reporting.of_answers(mixed, test_dir)
    assert not report.is_made_up and "nobody" not in reporting.markdown(report)


def test_refusals(test_dir, tmp_path, run) -> None:
    test = description.read(test_dir)
    out = tmp_path / "out"
    for qualities, message in (
        ({"other": 3.0}, "There is no system 'other': give one of ours, theirs"),
        ({"recording": 3.0}, "There is no system 'recording'"),
        ({"ours": 7.0}, "The quality of ours is 7: give 1 to 5"),
        ({"ours": float("nan")}, "give 1 to 5"),
    ):
        with pytest.raises(InputError, match=message):
            simulated.rehearse(test, out, qualities)
    assert not out.exists()
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(InputError, match="is there already"):
        simulated.rehearse(test, out, {})
    flags = (f"--test={test_dir}", f"--answers={tmp_path / 'x'}")
    ended = run("experiments.listening_test", "rehearse", *flags, "--quality=ours=good")
    assert ended.returncode == 1 and "--quality is ours=good: give a number" in ended.stderr
    ended = run("experiments.listening_test", "rehearse", *flags, "--quality=ours=4")
    assert ended.returncode == 0 and "Made-up answers of 24 listeners" in ended.stdout


def test_better_systems_score_higher() -> None:
    texts = [f"t{i}" for i in range(12)]
    test = preparing.describe(COMPARISON, ["a", "b"], texts, sample_rate_hz=16000)
    world = simulated.World({"a": 1.5, "b": 4.5}, lapses=0.0)
    listener = simulated.Population(test, world, 0).listener(0)
    for i, (answer,) in listener.answers.items():
        trial = test.sessions[0][i]
        first, second = (test.sounds[name].system for name in trial.sounds)
        if {first, second} == {"a", "b"}:
            assert (answer > 0) == (second == "b")
