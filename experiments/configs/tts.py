"""Text-to-speech (section 3.2 of the paper): speech of eSpeak NG, for two CPU cores.

    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=1500 \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/tts.py \\
        --workdir=runs/tts --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/tts --data_dir=corpora
    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "espeak"
    config.sample_rate_hz = 8000
    config.voice = "en-us"
    config.local_condition.update(
        features="linguistic_f0",
        channels=64,
        hop_samples=40,
        upsampling="transposed",
        factors=(8, 5),
    )
    config.model.update(
        dilations=tuple(2**i for i in range(9)) * 2,
        residual_channels=32,
        gate_channels=32,
        skip_channels=128,
        head_channels=128,
    )

    config.batch_size = 8
    config.segment_samples = 100 * config.local_condition.hop_samples
    config.num_steps = 2000
    config.training.update(learning_rate=6e-3, warmup_steps=50, ema_decay=0.99)
    config.held_out_recordings = 5
    config.preview_s = 2.0
    return config
