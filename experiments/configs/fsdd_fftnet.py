"""The spoken digits of `fsdd.py` by FFTNet (Jin, Finkelstein, Mysore and Lu, 2018).

    python -m experiments.prepare --dataset=fsdd --source=FSDD --data_dir=corpora
    python -m experiments.train --config=experiments/configs/fsdd_fftnet.py \\
        --workdir=runs/fsdd_fftnet --data_dir=corpora

As many parameters as that recipe (154,144), as long a field (512 samples) and as many minutes. Not
trained to the end: a schedule of 920 steps gives 4.403 bits per sample on the 300 validation clips,
and one of the 1,000 that `fsdd.py` makes in that time 4.130 (docs/experiments.md).
"""

from ml_collections import ConfigDict

from experiments.configs import fsdd, schema


def get_config() -> ConfigDict:
    config = fsdd.get_config()
    config.model.update(
        block="fftnet",
        kernel_size=2,
        dilations=tuple(2**i for i in reversed(range(9))),
        residual_channels=64,
        gate_channels=64,
        skip_channels=64,
        head_channels=0,
    )

    config.num_steps = 7300
    schema.when_pretrained(config, num_steps=1450)
    return config
