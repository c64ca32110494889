"""Distils a parallel student from a trained WaveNet of Gaussian output, or resumes.

    python -m experiments.train --config=experiments/configs/gaussian.py \\
        --workdir=runs/gaussian --data_dir=corpora
    python -m experiments.distill --config=experiments/configs/student.py \\
        --teacher=runs/gaussian --workdir=runs/student --data_dir=corpora [--config.num_steps=2000]

A student makes all samples of a chunk at once (docs/student.md). `sample`, `speak`,
`evaluate_speech`, `studies.copy_synthesis` and `export` take its work directory as they take a
teacher's. Stopped by Ctrl-C, SIGTERM or a kill, the same command goes on where it was, as
`experiments.train` does.
"""

from collections.abc import Sequence

from absl import flags

from experiments.common import cli
from experiments.configs.schema import from_config_dict
from experiments.tasks.distillation import distill
from wavenet_jax import InputError, parallel

cli.takes(cli.CONFIG, cli.WORKDIR, cli.DATA_DIR, *cli.PROCESSES)
_TEACHER = flags.DEFINE_string("teacher", None, "Folder of the teacher's run, or of its model.")


def main(argv: Sequence[str]) -> None:
    del argv
    if not _TEACHER.value:
        raise InputError("--teacher is missing: name the folder of a trained model.")
    config = from_config_dict(cli.CONFIG.value)
    cli.join_processes()
    if not cli.MULTIHOST.value:
        parallel.use_cpu_cores(config.batch_size // config.training.num_microbatches)
    distill(
        config,
        teacher=_TEACHER.value,
        workdir=cli.WORKDIR.value,
        data_dir=cli.DATA_DIR.value,
    )


if __name__ == "__main__":
    cli.run(main, required=(cli.CONFIG, cli.WORKDIR, cli.DATA_DIR))
