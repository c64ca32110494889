"""Training and generation throughput on this machine, with their rooflines.

    python -m experiments.benchmark [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --options --batches=8 [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --sweep --out=FOLDER [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --round_trips [--config=FILE] [--json=FILE] [--multihost ...]
    python -m experiments.benchmark --student [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --speedrun --data_dir=FOLDER [--config=FILE] [--json=FILE]

Measures the reference model (experiments/configs/reference.py) by default; of a recognizer
(experiments/configs/timit.py) also the speed of recognition. `--options` measures what each option
of the model costs. `--sweep` measures generation over the batch and over the size of the model,
and draws the curves. `--student` measures a parallel student (experiments/configs/student.py by
default) beside its teacher (docs/student.md). `--speedrun` measures learning: held-out bits per
sample after 2, 5 and 10 minutes of training on a corpus (experiments/configs/fsdd.py by default;
docs/speedrun.md).
`--round_trips` measures what devices and processes that train together wait for; it is started in
each process, as a training is (docs/scaling.md).

Speeds drift on a shared machine, ratios less: each limit is measured in the same run as the speed
that it limits (`experiments/benchmarks/roofline.py` defines them).
"""

from collections.abc import Sequence

from absl import flags

from experiments.benchmarks import (
    machine,
    options,
    report,
    round_trips,
    speedrun,
    student,
    sweep,
    synthetic,
)
from experiments.common import cli, plots, processes
from experiments.configs import fsdd, reference, schema
from experiments.configs import student as student_recipe
from wavenet_jax import InputError, parallel, training

cli.takes(cli.CONFIG, cli.JSON, cli.OUT, cli.DATA_DIR, *cli.PROCESSES)
_BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "Batch sizes to generate at.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs of each; the median counts.", 1)
_OPTIONS = flags.DEFINE_bool(
    "options", False, "Measure instead what each option of the model costs."
)
_SWEEP = flags.DEFINE_bool(
    "sweep", False, "Measure instead models of other sizes, and draw the curves in --out."
)
_ROUND_TRIPS = flags.DEFINE_bool(
    "round_trips", False, "Measure instead what devices and processes wait for one another."
)
_STUDENT = flags.DEFINE_bool(
    "student", False, "Measure instead a parallel student beside its teacher."
)
_SPEEDRUN = flags.DEFINE_bool(
    "speedrun", False, "Measure instead what is learned in --minutes on the corpus in --data_dir."
)
_MINUTES = flags.DEFINE_float("minutes", 10.0, "Length of the speed run.", 0.01)
_TRIAL_S = flags.DEFINE_float(
    "trial_s",
    20.0,
    "Seconds of the trial whose rate decides the speed run's steps; 0 keeps the config's.",
    0.0,
)
_CHANGE = flags.DEFINE_string("change", "", "What changed since the record before, for its line.")


def main(argv: Sequence[str]) -> None:
    del argv
    if not _ROUND_TRIPS.value and cli.MULTIHOST.value:
        raise InputError("--multihost is for --round_trips: leave it out.")
    cli.join_processes()
    batches, repeats = cli.positive_integers("batches", _BATCHES.value), _REPEATS.value
    recipe = fsdd if _SPEEDRUN.value else student_recipe if _STUDENT.value else reference
    config = schema.from_config_dict(cli.CONFIG.value or recipe.get_config())
    parallel.use_cpu_cores(config.batch_size)
    if _SPEEDRUN.value:
        if cli.DATA_DIR.value is None:
            raise InputError("--data_dir is missing: give the folder of corpora.")
        figures = speedrun.speedrun(
            config,
            data_dir=cli.DATA_DIR.value,
            minutes=_MINUTES.value,
            trial_s=_TRIAL_S.value,
        )
        print(speedrun.as_table(figures, _CHANGE.value))
    elif _STUDENT.value:
        figures = student.student_figures(config, batches=batches, repeats=repeats)
        print(student.as_table(figures))
    elif config.task == "distill":
        raise InputError("--config is a recipe of a student: measure it with --student.")
    elif _ROUND_TRIPS.value:
        figures = round_trips.round_trips(config, repeats=repeats)
        if not processes.is_first():
            return
        print(round_trips.as_table(figures))
    elif _OPTIONS.value:
        figures = options.options(config, batch=batches[0], repeats=repeats)
        print(options.as_table(figures))
    elif _SWEEP.value:
        if cli.OUT.value is None:
            raise InputError("--out is missing: give a folder for the figure of --sweep.")
        folder = cli.require_writable(cli.OUT.value)
        model = training.wavenet_of(synthetic.model_of(config))
        found = sweep.sweep(model, repeats)
        figures = {"machine": machine.description(), "sweep": found}
        plots.save(sweep.figure(found), folder / "sweep.png", dpi=100)
        print(sweep.as_table(found))
    else:
        figures = report.benchmark(config, batches=batches, repeats=repeats)
        print(report.as_tables(figures))
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
