"""Spoken digits of six speakers (Free Spoken Digit Dataset), ten minutes on two CPU cores.

    python -m experiments.prepare --dataset=fsdd --source=FSDD --data_dir=corpora
    python -m experiments.train --config=experiments/configs/fsdd.py \\
        --workdir=runs/fsdd --data_dir=corpora

Two cores of an AMD EPYC (Zen 4, AVX-512), 2026-11-25: with a schedule of ten minutes, 13,600 steps,
3.766 bits per sample on the 300 validation clips (indices 5 to 9; the entropy of the codes is
7.161); the config before (Adam, windows of 1,500, 16 layers of two taps) 3.910 (docs/speedrun.md).

A peer (PyTorch r9y9/wavenet_vocoder, 20 layers, 10 minutes on a machine of the same
class, not measured again here) scored 4.72 on the official test clips, indices 0 to 4.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "fsdd"
    config.sample_rate_hz = 8000
    config.global_condition.update(labels=("speaker",), channels=16)
    config.model.update(
        kernel_size=3,
        dilations=tuple(3**i for i in range(5)) * 2,
        residual_channels=32,
        gate_channels=32,
        skip_channels=64,
        head_channels=128,
    )

    # Many short steps: clips last 0.44 s on average, and a longer segment would be mostly padding.
    config.batch_size = 8
    config.segment_samples = 750
    config.num_steps = 8000
    config.training.update(
        optimizer="muon",
        learning_rate=6e-3,
        matrix_learning_rate=2e-2,
        beta2=0.99,
        warmup_steps=50,
        decay="linear",
        fused="bfloat16",
        ema_decay=0.99,
    )
    schema.when_pretrained(config, num_steps=1600, learning_rate=2e-3, matrix_learning_rate=7e-3)
    config.checkpoint_every = 2000
    config.keep_checkpoints = 3
    config.held_out_recordings = 100
    config.preview_s = 1.0
    return config
