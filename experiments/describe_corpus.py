"""Describes a prepared corpus.

    python -m experiments.describe_corpus --dataset=fsdd --data_dir=corpora \\
        [--config=experiments/configs/fsdd.py] [--picture=fsdd.png] [--json=fsdd.json]

Of each split: recordings and their durations, level, clipping and silence; of each
label the number of recordings of its classes; and the receptive field of a config at the
corpus's rate.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli
from experiments.configs.schema import from_config_dict
from experiments.tasks.corpora import describe_corpus, described

cli.takes(cli.DATASET, cli.DATA_DIR, cli.CONFIG, cli.JSON)
_PICTURE = flags.DEFINE_string(
    "picture", None, "File to draw examples to, such as corpus.png; none by default."
)


def main(argv: Sequence[str]) -> None:
    del argv
    config = from_config_dict(cli.CONFIG.value) if cli.CONFIG.value is not None else None
    figures = describe_corpus(
        cli.DATASET.value, cli.DATA_DIR.value, config=config, picture=_PICTURE.value
    )
    print(described(figures))
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.DATASET, cli.DATA_DIR))
