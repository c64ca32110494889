"""Distillation of a parallel student from a trained model."""

import os
import sys

from experiments.common import processes, restore
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.tasks import teaching
from experiments.tasks.training import TrainingResult, train
from wavenet_jax import InputError


def distill(
    config: ExperimentConfig,
    *,
    teacher: str | os.PathLike[str],
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> TrainingResult:
    """Trains a student to the config's last step, from its last checkpoint if there is one.

    Args:
      config: of the experiment, of the task "distill".
      teacher: folder of a run, or of a model, of Gaussian output.
      workdir, data_dir: as of `tasks.training.train`. The workdir also gets the teacher's networks
        of prosody, if it has any.

    Raises:
      InputError, data.DataError: bad input, such as another teacher than the config is for.
      training.DivergenceError: as `tasks.training.train`.
    """
    if config.task != "distill":
        raise InputError(
            f"--config.task is {config.task!r}: give a recipe of a student, such as "
            "experiments/configs/student.py, or use experiments.train."
        )
    trained = restore.load(teacher)
    teaching.require_teacher(trained, teacher)
    result = train(config, workdir=workdir, data_dir=data_dir, teacher=trained)
    if processes.is_first():
        run: Run = restore.load(workdir, "last").run
        copied = teaching.copy_prosody(run, teacher, workdir)
        if copied:
            print(
                f"The student has its teacher's networks of {', '.join(copied)}.", file=sys.stderr
            )
    return result
