"""Makes the gallery: what the models in `experiments/pretrained` sound like, on one page.

    python -m experiments.gallery --data_dir=runs/gallery --out=docs/gallery

Prints and runs the commands that a user would: for each model the corpus it is shown beside, in a
folder of its own in `--data_dir`, and what it makes of the first recordings of the test split and
of sentences, with the first seeds: nothing is chosen. The page is static and asks nobody for
anything; sound is FLAC. `--data_dir` is for work, and may be deleted afterwards.
"""

from collections.abc import Sequence

from experiments.common import cli
from experiments.tasks import gallery

cli.takes(cli.DATA_DIR, cli.OUT)


def main(argv: Sequence[str]) -> None:
    del argv
    page = gallery.make(cli.OUT.value, data_dir=cli.DATA_DIR.value)
    print(f"{gallery.sound_bytes(page.parent) / 1e6:.2f} MB of sound: open {page}")


if __name__ == "__main__":
    cli.run(main, required=(cli.DATA_DIR, cli.OUT))
