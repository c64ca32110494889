"""Variants are trained one after the other, and a stopped study goes on."""

import contextlib
import json

import jax
import numpy as np
import pytest
import tiny
from test_configs import Corpus

from experiments.common import signals
from experiments.common.run import Run
from experiments.configs import fsdd
from experiments.studies import ablation, variants
from wavenet_jax import InputError

CHANGES = {
    "as it is": lambda config: None,
    "wide, slow": variants.all_of(
        lambda config: config.model.update(residual_channels=12),
        lambda config: config.training.update(learning_rate=1e-4),
    ),
}


def test_each_variant_is_changed_and_trained_in_its_folder(fsdd_dir, tmp_path, capsys) -> None:
    config = tiny.get_config()
    options = {"num_steps": 2, "workdir": tmp_path, "data_dir": fsdd_dir}
    trained = variants.train_variants(config, CHANGES, [], **options)
    assert list(trained) == list(CHANGES)
    assert [model.run.model.residual_channels for model in trained.values()] == [8, 12]
    assert [model.run.training.learning_rate for model in trained.values()] == [1e-2, 1e-4]
    assert [model.step for model in trained.values()] == [2, 2]
    assert variants.folder_of(tmp_path, "wide, slow") == tmp_path / "wide__slow"
    assert (config.model.residual_channels, config.num_steps) == (8, 120)
    capsys.readouterr()
    again = variants.train_variants(config, CHANGES, ["wide, slow"], **options)
    assert "trained to step 2 already" in capsys.readouterr().err
    jax.tree.map(
        np.testing.assert_array_equal, again["wide, slow"].params, trained["wide, slow"].params
    )


def test_no_variant_is_trained_where_one_is_unknown(fsdd_dir, tmp_path) -> None:
    with pytest.raises(InputError, match="There is no variant 'tall': use as it is, wide, slow"):
        variants.train_variants(
            tiny.get_config(),
            CHANGES,
            ["as it is", "tall"],
            num_steps=1,
            workdir=tmp_path,
            data_dir=fsdd_dir,
        )
    assert not list(tmp_path.iterdir())


def test_a_stopped_study_has_no_figures_and_goes_on(fsdd_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ablation, "VARIANTS", CHANGES)
    options = {"num_steps": 3, "workdir": str(tmp_path), "data_dir": str(fsdd_dir)}

    @contextlib.contextmanager
    def stop_at_2():
        yield lambda step: step == 2

    with monkeypatch.context() as patch:
        patch.setattr(signals, "stop_on_signals", stop_at_2)
        assert ablation.ablation(tiny.get_config(), **options) is None
    rows = ablation.ablation(tiny.get_config(), **options)
    assert [row["name"] for row in rows] == list(CHANGES)
    assert [row["step"] for row in rows] == [3, 3]
    assert json.loads(json.dumps(rows)) == rows
    table = ablation.as_table(rows).splitlines()
    assert table[2] == f"| as it is | {rows[0]['bits_per_sample']:.3f} |"
    assert len(table) == 2 + 3


def test_every_variant_of_the_ablation_is_a_model_of_its_own() -> None:
    models = []
    for change in ablation.VARIANTS.values():
        config = fsdd.get_config()
        change(config)
        corpus = Corpus("fsdd", 8000, {"speaker": 6, "digit": 10})
        run = Run.create(tiny.experiment(config), corpus)
        assert run.model not in [model for model, training in models if training == run.training]
        models.append((run.model, run.training))
    assert len(models) == 13
