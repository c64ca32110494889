"""Fine-tuning against training from nothing, each with the recipe's own learning rates."""

import json

import pytest
import tiny

from experiments.configs import schema
from experiments.studies import fine_tuning, variants
from wavenet_jax import InputError


@pytest.mark.long
def test_what_is_trained_and_scored(fsdd_dir, trained_dir, tmp_path) -> None:
    config = tiny.get_config()
    schema.when_pretrained(config, learning_rate=1e-3)
    config.pretrained = str(trained_dir)
    options = {"num_steps": 2, "workdir": str(tmp_path), "data_dir": str(fsdd_dir)}
    rows = fine_tuning.study(config, **options)
    assert [(row["name"], row["step"]) for row in rows] == [
        ("fine-tuned", 2),
        ("from nothing", 2),
        ("from nothing, 5 times the steps", 10),
    ]
    # After 30 steps before these two: better than any from nothing.
    bits = [row["bits_per_sample"] for row in rows]
    assert bits[0] < bits[2] < bits[1]
    trained = variants.train_variants(
        config, fine_tuning.variants_of(2), ["fine-tuned", "from nothing"], **options
    )
    rates = [model.run.training.learning_rate for model in trained.values()]
    assert rates == [1e-3, 1e-2]
    assert json.loads(json.dumps(rows)) == rows
    table = fine_tuning.as_table(rows).splitlines()
    assert table[2] == f"| fine-tuned | 2 | {bits[0]:.3f} |"


def test_nothing_to_fine_tune(tmp_path) -> None:
    with pytest.raises(InputError, match="--config.pretrained is None: name the run"):
        fine_tuning.study(tiny.get_config(), num_steps=1, workdir=str(tmp_path), data_dir="corpora")
    assert not list(tmp_path.iterdir())
