"""Reports of simulated listeners: who is dropped, what is written, and how often it is right."""

import csv
import json
import pathlib

import matplotlib.image
import numpy as np
import pytest

from experiments.listening import description, preparing, reporting, screening, serving
from experiments.listening.answers import Listener
from experiments.listening.description import (
    COMPARISON,
    DEGRADED,
    KINDS,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
    RECORDING,
    Test,
)
from experiments.listening.simulated import Population, World, true_difference
from wavenet_jax import InputError

SYSTEMS = {"good": 3.6, "bad": 2.4}


def described(kind: str, seed: int = 0, num_texts: int = 12, systems=SYSTEMS) -> Test:
    texts = [f"t{i:02}" for i in range(num_texts)]
    return preparing.describe(
        kind, list(systems), texts, with_recordings=False, sample_rate_hz=16000, seed=seed
    )


def write_answers(folder: pathlib.Path, test: Test, listeners: list[Listener]) -> None:
    folder.mkdir()
    for each in listeners:
        lines = [{"version": 1, "test": test.id, "session": each.session}]
        lines += [{"trial": i, "answer": list(answer)} for i, answer in each.answers.items()]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{each.name}.jsonl").write_text(text)


@pytest.mark.parametrize("kind", KINDS)
def test_from_a_test_and_answers_to_the_files(kind: str, tmp_path: pathlib.Path, run) -> None:
    test = described(kind)
    population = Population(test, World(SYSTEMS), 0)
    listeners = [population.listener(i) for i in range(12)]
    listeners += [population.random_listener(12, "chance")]
    left = population.listener(13, "left")
    listeners += [left._replace(answers={0: left.answers[0]})]
    (tmp_path / "test").mkdir()
    description.write(test, tmp_path / "test")
    write_answers(tmp_path / "answers", test, listeners)
    (tmp_path / "answers" / "<b>_\x07.jsonl").write_text("{}\n")
    (tmp_path / "answers" / serving.TOKEN).write_text("of the server\n")
    ended = run(
        "experiments.listening_test",
        "report",
        f"--test={tmp_path / 'test'}",
        f"--answers={tmp_path / 'answers'}",
        f"--out={tmp_path / 'out'}",
    )
    assert ended.returncode == 0, ended.stderr
    text = (tmp_path / "out" / "report.md").read_text()
    assert text in ended.stdout
    assert "good better" in text and "## Dropped: 3" in text
    assert "- \\<b\\>\\_?: the file cannot be used: its name is not of letters" in text
    assert "- left: answered 1 of" in text and "- chance: " in text
    report = reporting.of_answers(tmp_path / "answers", tmp_path / "test")
    assert set(report.dropped) == {"left", "chance", "<b>_\x07"}
    assert 0 < report.alpha < 1 and report.repeat_error >= 0 and report.num_texts == 12
    (pair,) = [each for each in report.comparisons if each.first == "good"]
    with (tmp_path / "out" / "report.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["what"] == "difference"]
    assert len(rows) == len(report.comparisons)
    (row,) = [row for row in rows if row["first"] == "good"]
    assert float(row["value"]) == pytest.approx(pair.difference.value, rel=1e-5)
    assert float(row["corrected_p"]) == pytest.approx(pair.corrected_p, rel=1e-5)
    assert pair.difference.low > 0 and pair.corrected_p < 0.05 and pair.more_listeners == 0
    assert matplotlib.image.imread(tmp_path / "out" / "report.png").shape[0] > 200


def answered(test: Test, session: int, answer) -> Listener:
    """One who answers each trial as a function of its systems and sounds says."""
    answers = {}
    for i, trial in enumerate(test.sessions[session]):
        systems = [test.sounds[name].system for name in trial.sounds]
        answers[i] = answer(systems)
    return Listener("who", session, answers)


def test_scores_are_of_the_systems_whichever_way_round() -> None:
    """Of a listener for whom good is 2 better than bad, as the answer is given."""
    test = described(COMPARISON)
    for session in (0, 1):
        listener = answered(test, session, lambda x: (-2,) if x[0] in ("good", RECORDING) else (2,))
        scores = screening.scores_of(test, [listener])
        assert scores.columns == (("good", "bad"),)
        assert np.all(scores.values == 2)
        assert screening.drop(test, [listener]) == {}
        assert screening.repeat_error(test, [listener]) == 0
    biased = answered(test, 0, lambda x: (1,))
    assert screening.repeat_error(test, [biased]) == 2
    assert abs(np.nansum(screening.scores_of(test, [biased]).values)) <= 1


def test_scores_of_mushra_are_those_of_the_sliders() -> None:
    test = described(MUSHRA)
    of = {RECORDING: 100, "good": 70, "bad": 30, MID_ANCHOR: 40, LOW_ANCHOR: 10}
    listener = answered(test, 3, lambda systems: tuple(of[system] for system in systems))
    scores = screening.scores_of(test, [listener])
    for i, system in enumerate(test.systems):
        assert np.all(scores.values[0, :, i] == of[system])
    assert screening.repeat_error(test, [listener]) == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda x: (3,), "rated the recordings among the control items 3.0 and those with noise"),
        (lambda x: (1 if x == [RECORDING] else 5,), "control items 1.0 and those with noise 5.0"),
    ],
)
def test_who_does_not_tell_recordings_from_noise_is_dropped(answer, reason) -> None:
    test = described(MOS)
    assert reason in screening.drop(test, [answered(test, 0, answer)])["who"]
    # Nobody is dropped for liking what others do not.
    contrary = answered(
        test, 0, lambda x: ({RECORDING: 5, DEGRADED: 1, "good": 1, "bad": 5}[x[0]],)
    )
    assert screening.drop(test, [contrary]) == {}


def test_who_always_gives_the_same_answer_to_pairs_is_dropped() -> None:
    test = described(PREFERENCE)
    for answer, right in ((-1, 5), (0, 0), (1, 5)):
        dropped = screening.drop(test, [answered(test, 0, lambda x, answer=answer: (answer,))])
        assert dropped == {"who": f"preferred the recording in {right} of 10 control pairs"}


def test_the_rules_of_bs_1534() -> None:
    """15% of 12 trials are 1.8: one may be wrong, two not."""
    values = np.zeros((4, 12, 5))
    columns = (RECORDING, "good", "bad", MID_ANCHOR, LOW_ANCHOR)
    values[:, :, 0] = 95
    values[1, :2, 0] = 89
    values[2, :1, 0] = 0
    values[3, :2, 3] = 91
    scores = screening.Scores(
        MUSHRA, columns, tuple((x,) for x in columns), ("a", "b", "c", "d"), ("t",) * 12, values
    )
    assert screening.drop_by_reference(scores) == {
        "b": "scored the hidden reference below 90 in 2 of 12 trials",
        "d": "scored the mid anchor above 90 in 2 of 12 trials",
    }


def test_a_text_that_the_anchor_hardly_degrades_drops_nobody() -> None:
    """Of 8 listeners three, more than a quarter, score its mid anchor above 90, and then two."""
    values = np.zeros((8, 6, 2))
    columns = (RECORDING, MID_ANCHOR)
    values[:, :, 0] = 95
    values[:3, 2, 1] = values[0, 3, 1] = 91
    scores = screening.Scores(
        MUSHRA, columns, tuple((x,) for x in columns), tuple("abcdefgh"), ("t",) * 6, values
    )
    others = {"a": "scored the mid anchor above 90 in 1 of 5 trials"}
    assert screening.drop_by_reference(scores) == others
    values[2, 2, 1] = 0
    assert screening.drop_by_reference(scores) == {
        "a": "scored the mid anchor above 90 in 2 of 6 trials",
        "b": "scored the mid anchor above 90 in 1 of 6 trials",
    }


def test_the_table_of_webmushra_becomes_a_report(tmp_path: pathlib.Path, run) -> None:
    random = np.random.default_rng(0)
    lines = ["session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time"]
    means = {"reference": 99, "good": 75, "bad": 40, "anchor35": 20, "anchor70": 45}
    for i in range(10):
        for text in range(6):
            for system, mean in means.items():
                score = random.integers(0, 101) if i == 9 else mean + random.integers(-1, 2)
                lines += [f"x,u{i},t{text},{system},{score},1"]
    path = tmp_path / "mushra.csv"
    path.write_text("\n".join(lines))
    ended = run(
        "experiments.listening_test", "report", f"--answers={path}", f"--out={tmp_path / 'out'}"
    )
    assert ended.returncode == 0, ended.stderr
    assert "- u9: scored the hidden reference below 90 in" in ended.stdout
    report = reporting.of_webmushra(path)
    assert report.systems["good"].value == pytest.approx(75, abs=0.5)
    assert {(each.first, each.second) for each in report.comparisons} == {
        (RECORDING, "good"),
        (RECORDING, "bad"),
        ("good", "bad"),
    }


def test_p_values_are_corrected_for_the_number_of_pairs() -> None:
    systems = {"a": 3.2, "b": 3.2, "c": 3.2}
    test = described(MOS, 0, 12, systems)
    population = Population(test, World(systems), 0)
    scores = screening.scores_of(test, [population.listener(i) for i in range(12)])
    ps, corrected = zip(
        *((each.p, each.corrected_p) for each in reporting.analyse(scores, {}).comparisons),
        strict=True,
    )
    assert len(ps) == 3 and min(corrected) == pytest.approx(min(1, 3 * min(ps)))


def test_names_of_others_break_no_table() -> None:
    scores = screening.scores_of_webmushra(
        {
            (f"u{i}|<b>", f"t{j}", system): 50.0 + i + j
            for i in range(3)
            for j in range(3)
            for system in ("a|b", "<script>")
        }
    )
    text = reporting.markdown(reporting.analyse(scores, {"x|y": "left"}))
    assert "| a\\|b |" in text and "\\<script\\>" in text and "- x\\|y: left" in text


def test_too_few_are_refused() -> None:
    test = described(MOS)
    population = Population(test, World(SYSTEMS), 0)
    with pytest.raises(InputError, match=r"1 listener\(s\) and 12 text\(s\) are left, 2 listener"):
        reporting.analyse(
            screening.scores_of(test, [population.listener(0)]), {"a": "left", "b": "left"}
        )
    scores = screening.scores_of(test, [population.listener(i) for i in range(3)])
    values = scores.values.copy()
    values[:, :, 1] = np.nan
    with pytest.raises(InputError, match="Nobody who is left has scored bad"):
        reporting.analyse(scores._replace(values=values), {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say what to do, one of prepare, rehearse, serve, report"),
        (["listen"], "Say what to do"),
        (["prepare"], "--kind is missing: prepare needs it"),
        (["prepare", "--kind=abx"], "--kind"),
        (["prepare", "--answers=x"], "--answers is no flag of prepare"),
        (["prepare", "--kind=mos", "--recordings=x", "--system=y", "--out=z"], "give NAME=DIR"),
        (["report", "--out=z"], "--answers is missing"),
        (["report", "--kind=mos"], "--kind is no flag of report"),
        (["report", "--port=1"], "--port is no flag of report"),
        (["serve", "--out=x"], "--out is no flag of serve"),
        (["serve", "--answers=x"], "--test is missing: serve needs it"),
        (["serve", "--test=x"], "--answers is missing: serve needs it"),
        (["serve", "--test=x", "--answers=y"], "x/test.json is missing"),
        (["serve", "--test=x", "--answers=y", "--port=65536"], "--port"),
        (["report", "--answers=nowhere.csv", "--out=z"], "it is no file"),
        (["report", "--answers=.", "--out=z"], "--test is missing"),
        (["report", "--answers=x.csv", "--test=y", "--out=z"], "x.csv is no folder"),
    ],
)
def test_bad_flags_end_in_one_sentence(arguments, message, run, tmp_path) -> None:
    ended = run("experiments.listening_test", *arguments)
    assert ended.returncode == 1 and message in ended.stderr
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_the_program_prepares(sound_dirs, tmp_path, run) -> None:
    ended = run(
        "experiments.listening_test",
        "prepare",
        "--kind=mushra",
        f"--recordings={sound_dirs['recordings']}",
        f"--system=ours={sound_dirs['ours']}",
        f"--system=theirs={sound_dirs['theirs']}",
        "--num_listeners=4",
        "--level_lufs=-30",
        f"--out={tmp_path / 'test'}",
    )
    assert ended.returncode == 0, ended.stderr
    assert "4 sessions of 10 trials, 48 sounds of -30.0 LUFS at 16000 Hz" in ended.stdout
    assert description.read(tmp_path / "test").kind == MUSHRA


NUM_TESTS = 200


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("qualities", [(3.2, 3.2, 3.2), (3.4, 3.1, 2.6)], ids=["none", "effect"])
def test_simulated_tests_are_right(kind: str, qualities: tuple[float, ...], capsys) -> None:
    """200 tests with 24 listeners who listen and one who does not, of three systems."""
    systems = dict(zip("abc", qualities, strict=True))
    world = World(systems)
    truth = true_difference(kind, world, "a", "b")
    shares = np.zeros(4)
    for i in range(NUM_TESTS):
        seed = 1000 + i + NUM_TESTS * (len(set(qualities)) > 1)
        test = described(kind, seed, 12 if kind == MUSHRA else 20, systems)
        population = Population(test, world, seed)
        listeners = [population.listener(j) for j in range(24)]
        listeners += [population.random_listener(seed % 24, "chance")]
        dropped = screening.drop(test, listeners)
        kept = [each for each in listeners if each.name not in dropped]
        report = reporting.analyse(screening.scores_of(test, kept), dropped)
        among = [each for each in report.comparisons if each.first in systems]
        difference = among[0].difference
        shares += (
            difference.low <= truth <= difference.high,
            any(each.corrected_p < screening.LEVEL for each in among),
            "chance" in dropped,
            len(dropped.keys() - {"chance"}) / 24,
        )
    covered, found, spotted, lost = shares / NUM_TESTS
    with capsys.disabled():
        print(
            f"\n{kind}, {qualities}: truth {truth:.3f}, covered {covered:.1%}, found {found:.1%}, "
            f"spotted {spotted:.1%}, listeners lost {lost:.2%}"
        )
    assert 0.92 <= covered <= 0.98
    assert spotted >= 0.9
    assert lost <= 0.03
    if len(set(qualities)) == 1:
        assert found <= 0.07
    else:
        assert found >= 0.9
