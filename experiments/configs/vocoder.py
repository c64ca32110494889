"""A vocoder: speech from its mel spectrogram, LJ Speech at 22.05 kHz, for two CPU cores.

    python -m experiments.prepare --dataset=ljspeech --source=LJSPEECH --data_dir=corpora
    python -m experiments.train --config=experiments/configs/vocoder.py \\
        --workdir=runs/vocoder --data_dir=corpora
    python -m experiments.studies.copy_synthesis --workdir=runs/vocoder --data_dir=corpora \\
        --split=validation --out=runs/vocoder/copies --num_recordings=4 --seconds=4

80 bands from 0 to 8,000 Hz, frames of 256 samples (11.6 ms) behind windows of 1,024: the mel
spectrogram that most vocoders for LJ Speech take. `vocoder_16k.py` is for any speakers, at 16 kHz.
The sound is filtered by half of its envelope, which the mel spectrogram tells: what is left is
easier to learn, and its noise is masked (docs/vocoder.md).
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
        n_fft=1024,
        num_mels=80,
        fmin_hz=0.0,
        fmax_hz=8000.0,
    )
    config.model.update(
        kernel_size=3,
        dilations=tuple(3**i for i in range(6)) * 2,
        residual_channels=32,
        gate_channels=32,
        skip_channels=64,
        head_channels=128,
    )

    config.noise_shaping = 0.5
    config.noise_shaping_of = "frames"
    config.noise_shaping_order = 30

    config.batch_size = 8
    config.segment_samples = 8 * 256
    config.num_steps = 6000
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
    schema.when_pretrained(config, num_steps=1200, learning_rate=2e-3, matrix_learning_rate=7e-3)
    config.checkpoint_every = 500
    config.held_out_recordings = 4
    config.preview_s = 1.0
    return config
