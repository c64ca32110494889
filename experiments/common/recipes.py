"""The command that trains what a config describes: a recipe, and a flag for each difference."""

import importlib
import pathlib
from typing import Any

from flax import traverse_util

from experiments.configs import schema
from experiments.configs.schema import ExperimentConfig, flag_of
from wavenet_jax.config import to_dict

_FOLDER = pathlib.Path(schema.__file__).parent


def training_flags(config: ExperimentConfig) -> list[str]:
    """The flags of `experiments.train` for a config, of the recipe that needs the fewest,
    before others one of the same corpus.

    Returns:
      `--config=experiments/configs/NAME.py`, and `--config.FIELD=VALUE` for each field that the
      recipe has otherwise.
    """
    wanted = _flat(config)
    found = []
    for path in sorted(_FOLDER.glob("*.py")):
        if path.stem in ("__init__", "schema"):
            continue
        recipe = importlib.import_module(f"experiments.configs.{path.stem}")
        given = recipe.get_config()
        if config.pretrained is not None:  # other defaults hold then (`schema.when_pretrained`)
            given.pretrained = config.pretrained
        has = _flat(schema.from_config_dict(given)) | {"pretrained": None}
        differences = [name for name in wanted if wanted[name] != has[name]]
        if any(wanted[name] is None for name in differences):  # which no flag can say
            continue
        flags = [f"{flag_of(name)}={_literal(wanted[name])}" for name in differences]
        of_another = wanted["dataset"] != has["dataset"]
        found.append((of_another, [f"--config=experiments/configs/{path.name}", *flags]))
    return min(found, key=lambda each: (each[0], len(each[1])))[1]


def _flat(config: ExperimentConfig) -> dict[str, Any]:
    return traverse_util.flatten_dict(to_dict(config), sep=".")


def _literal(value: Any) -> str:
    """A field's value as its flag takes it."""
    return value if isinstance(value, str) else repr(_with_tuples(value))


def _with_tuples(value: Any) -> Any:
    """Of JSON, with the tuples that configs have for its lists."""
    if isinstance(value, list):
        return tuple(map(_with_tuples, value))
    if isinstance(value, dict):
        return {name: _with_tuples(each) for name, each in value.items()}
    return value
