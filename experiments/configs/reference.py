"""The reference model of the benchmarks: 16 kHz, 30 layers, 192 ms.

    python -m experiments.benchmark
    python -m experiments.train --config=experiments/configs/reference.py \\
        --workdir=runs/reference --data_dir=corpora

Trains on any folder of 16 kHz recordings that was prepared as `folder`. 1.24 million
multiply-adds a sample; its speed, with date and machine, is in docs/benchmarks.md.
It was not trained to the end, which would take days on one GPU.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "folder"
    config.sample_rate_hz = 16000
    config.model.update(
        dilations=tuple(2**i for i in range(10)) * 3,
        residual_channels=64,
        gate_channels=64,
        skip_channels=256,
        head_channels=256,
    )

    config.batch_size = 4
    config.segment_samples = 8000
    config.num_steps = 200_000
    config.training.update(learning_rate=1e-3, ema_decay=0.9999)
    schema.when_pretrained(config, num_steps=40_000, learning_rate=3e-4)
    config.log_every = 50
    config.checkpoint_every = 5000
    config.keep_checkpoints = 3
    config.held_out_recordings = 20
    return config
