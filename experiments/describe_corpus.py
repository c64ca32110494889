"""Shows what a prepared corpus holds, before hours are spent on it.

    python -m experiments.describe_corpus --dataset=fsdd --data_dir=corpora \\
        [--config=experiments/configs/fsdd.py] [--picture=fsdd.png] [--json=fsdd.json]

Of each split: recordings and their durations, level, clipping and silence; of each
label how its classes are shared out; and how far back the receptive field of a config
reaches at the corpus's rate.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli
from experiments.common.corpora import describe_corpus, described

cli.takes(cli.DATASET, cli.DATA_DIR, cli.CONFIG, cli.JSON)
_PICTURE = flags.DEFINE_string(
    "picture", None, "File to draw examples to, such as corpus.png; none by default."
)


def main(argv: Sequence[str]) -> None:
    del argv
    figures = describe_corpus(
        cli.DATASET.value, cli.DATA_DIR.value, config=cli.CONFIG.value, picture=_PICTURE.value
    )
    print(described(figures))
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.DATASET, cli.DATA_DIR))
