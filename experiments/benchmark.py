"""Training and generation throughput on this machine, with their rooflines.

    python -m experiments.benchmark [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --options --batches=8 [--config=FILE] [--json=FILE]
    python -m experiments.benchmark --sweep --out=FOLDER [--config=FILE] [--json=FILE]

Measures the reference model (experiments/configs/reference.py) by default; of a recognizer
(experiments/configs/timit.py) also the speed of recognition. `--options` measures what each option
of the model costs. `--sweep` measures generation over the batch and over the size of the model,
and draws the curves.

Speeds drift on a shared machine, ratios less: each limit is measured in the same run as the speed
that it limits (`experiments/benchmarks/roofline.py` defines them).
"""

from collections.abc import Sequence

from absl import flags

from experiments.benchmarks import machine, options, report, sweep, synthetic
from experiments.common import cli, huge_pages, plots
from experiments.configs import reference, schema
from wavenet_jax import InputError

cli.takes(cli.CONFIG, cli.JSON, cli.OUT)
_BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "Batch sizes to generate at.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs of each; the median counts.", 1)
_OPTIONS = flags.DEFINE_bool(
    "options", False, "Measure instead what each option of the model costs."
)
_SWEEP = flags.DEFINE_bool(
    "sweep", False, "Measure instead models of other sizes, and draw the curves in --out."
)


def main(argv: Sequence[str]) -> None:
    del argv
    huge_pages.restart()
    batches, repeats = cli.positive_integers("batches", _BATCHES.value), _REPEATS.value
    config = schema.from_config_dict(cli.CONFIG.value or reference.get_config())
    if _OPTIONS.value:
        figures = options.options(config, batch=batches[0], repeats=repeats)
        print(options.as_table(figures))
    elif _SWEEP.value:
        if cli.OUT.value is None:
            raise InputError("--out is missing: give a folder for the figure of --sweep.")
        folder = cli.require_writable(cli.OUT.value)
        model = synthetic.wavenet_of(synthetic.model_of(config))
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
