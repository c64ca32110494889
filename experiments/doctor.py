"""Examines a training before it is run: its needs, its hours, and likely trouble.

    python -m experiments.doctor --config=experiments/configs/fsdd.py --data_dir=corpora \\
        [--workdir=runs/fsdd] [--json=fsdd.json] [--config.batch_size=16 ...]

Prints parameters, receptive field, the time of a step from three of them, memory against that of
the device, hours for the whole, the corpus and how often it is heard, the loader's rate and the
disk; then faults and notes. A fault ends it with exit code 1. Without a corpus the model's labels
are invented and its sound is noise.
"""

import sys
from collections.abc import Sequence

from experiments.benchmarks.diagnosis import described, diagnose
from experiments.common import cli
from experiments.configs.schema import from_config_dict
from wavenet_jax import parallel

cli.takes(cli.CONFIG, cli.WORKDIR, cli.DATA_DIR, cli.JSON)


def main(argv: Sequence[str]) -> None:
    del argv
    config = from_config_dict(cli.CONFIG.value)
    parallel.use_cpu_cores(config.batch_size // config.training.num_microbatches)
    figures = diagnose(config, data_dir=cli.DATA_DIR.value, workdir=cli.WORKDIR.value)
    print(described(figures))
    findings = [finding._asdict() for finding in figures["findings"]]
    cli.write_json(figures | {"findings": findings})
    if any(finding["is_fault"] for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    cli.run(main, required=(cli.CONFIG,))
