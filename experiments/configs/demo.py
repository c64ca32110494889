"""The model of `make demo`: spoken digits, synthesised by eSpeak NG.

    python -m experiments.prepare --dataset=espeak --data_dir=runs/demo/corpora
    python -m experiments.train --config=experiments/configs/demo.py \\
        --workdir=runs/demo --data_dir=runs/demo/corpora

One voice, conditioned on phones with their neighbours, durations and pitch.

One core of an AMD EPYC (Zen 3, AVX2), the other busy, 2026-11-28: 2,000 steps in 7.4 minutes, 3.51
bits per sample on the 48 recordings of the test split; PocketSphinx mistakes 5.9% of 220 generated
words. What the noise, the model's own samples and the filter do is in docs/figures.md.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "espeak"
    config.sample_rate_hz = 8000
    config.local_condition.update(features="phones", channels=64, hop_samples=40)
    config.model.update(
        kernel_size=3,
        dilations=tuple(3**i for i in range(5)) * 2,
        residual_channels=32,
        gate_channels=32,
        skip_channels=64,
        head_channels=128,
    )

    config.batch_size = 8
    config.segment_samples = 1000
    config.num_steps = 2000
    config.training.update(
        optimizer="muon",
        learning_rate=6e-3,
        matrix_learning_rate=2e-2,
        beta2=0.99,
        input_noise=0.005,
        scheduled_sampling=0.5,
        warmup_steps=50,
        decay="linear",
        fused="bfloat16",
        ema_decay=0.99,
    )
    schema.when_pretrained(config, num_steps=400, learning_rate=2e-3, matrix_learning_rate=7e-3)
    config.checkpoint_every = 1000
    config.preview_s = 1.0
    return config
