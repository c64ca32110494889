"""Trains a WaveNet on a prepared corpus, or resumes where it was stopped.

    python -m experiments.train --config=experiments/configs/fsdd.py \\
        --workdir=runs/fsdd --data_dir=corpora [--config.num_steps=2000 ...]

Stopped by Ctrl-C, SIGTERM or a kill, the same command goes on where it was: to
the bit for a SIGKILL too, from the last checkpoint.
"""

from collections.abc import Sequence

from experiments.common import cli
from experiments.configs.schema import from_config_dict
from experiments.tasks.training import train
from wavenet_jax import parallel

cli.takes(cli.CONFIG, cli.WORKDIR, cli.DATA_DIR, *cli.PROCESSES)


def main(argv: Sequence[str]) -> None:
    del argv
    config = from_config_dict(cli.CONFIG.value)
    cli.join_processes()
    if not cli.MULTIHOST.value:
        parallel.use_cpu_cores(config.batch_size // config.training.num_microbatches)
    train(config, workdir=cli.WORKDIR.value, data_dir=cli.DATA_DIR.value)


if __name__ == "__main__":
    cli.run(main, required=(cli.CONFIG, cli.WORKDIR, cli.DATA_DIR))
