"""A vocoder: speech from its mel spectrogram, LJ Speech, for two CPU cores.

    python -m experiments.prepare --dataset=ljspeech --source=LJSPEECH --data_dir=corpora
    python -m experiments.train --config=experiments/configs/vocoder.py \\
        --workdir=runs/vocoder --data_dir=corpora
    python -m experiments.studies.copy_synthesis --workdir=runs/vocoder --data_dir=corpora \\
        --split=validation --out=runs/vocoder/copies --num_recordings=4 --seconds=4

80 bands from 0 to 8,000 Hz, frames of 256 samples (11.6 ms) behind windows of 1,024: the mel
spectrogram that most vocoders for LJ Speech take. A step took 1.2 s on two cores, 500 about
ten minutes (2026-11-21); the results are in docs/benchmarks.md.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "ljspeech"
    config.sample_rate_hz = 22050
    config.local_condition.update(
        features="mel",
        channels=64,
        hop_samples=256,
        upsampling="transposed",
        factors=(16, 16),
        n_fft=1024,
        num_mels=80,
        fmin_hz=0.0,
        fmax_hz=8000.0,
    )
    config.model.update(
        dilations=tuple(2**i for i in range(9)) * 2,
        residual_channels=32,
        gate_channels=32,
        skip_channels=128,
        head_channels=128,
    )

    config.batch_size = 8
    config.segment_samples = 16 * 256
    config.num_steps = 500
    config.training.update(learning_rate=6e-3, warmup_steps=50, ema_decay=0.99)
    schema.when_pretrained(config, num_steps=100, learning_rate=2e-3)
    config.checkpoint_every = 100
    config.held_out_recordings = 1
    config.preview_s = 1.0
    return config
