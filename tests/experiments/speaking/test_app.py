"""The program, before it serves; `test_speaking_page` and `test_measured` have what it serves."""

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is in the extra app")


def test_models_that_are_not_there_and_flags_that_are_none(run) -> None:
    ended = run("experiments.app", "--model=nowhere")
    assert ended.returncode == 1 and ended.stdout == ""
    assert (
        "error: There is no work directory nowhere: train first, or name another." in ended.stderr
    )
    ended = run("experiments.app", "--comb_filter=1")
    assert ended.returncode == 1 and "Unknown command line flag 'comb_filter'" in ended.stderr
