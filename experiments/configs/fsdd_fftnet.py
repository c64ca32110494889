"""The spoken digits of `fsdd.py` by FFTNet (Jin, Finkelstein, Mysore and Lu, 2018).

    python -m experiments.prepare --dataset=fsdd --source=FSDD --data_dir=corpora
    python -m experiments.train --config=experiments/configs/fsdd_fftnet.py \\
        --workdir=runs/fsdd_fftnet --data_dir=corpora
"""

from ml_collections import ConfigDict

from experiments.configs import fsdd


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
    return config
