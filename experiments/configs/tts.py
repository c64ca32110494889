"""Text-to-speech (section 3.2 of the paper): what eSpeak NG says, for two CPU cores.

    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=1500 \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/tts.py \\
        --workdir=runs/tts --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/tts --data_dir=corpora
    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.dataset = "espeak"
    config.sample_rate_hz = 8000
    config.pre_emphasis = 0.0
    config.global_condition = None
    config.local_condition = ConfigDict(
        {
            "features": "linguistic_f0",
            "channels": 64,
            "hop_samples": 40,
            "upsampling": "transposed",
            "factors": (8, 5),
        }
    )
    config.model = ConfigDict(
        {
            "dilations": tuple(2**i for i in range(9)) * 2,
            "residual_channels": 32,
            "gate_channels": 32,
            "skip_channels": 128,
            "head_channels": 128,
        }
    )

    config.batch_size = 8
    config.segment_samples = 100 * config.local_condition.hop_samples
    config.seed = 0
    config.num_workers = 0

    config.num_steps = 2000
    config.training = ConfigDict({"learning_rate": 6e-3, "warmup_steps": 50, "ema_decay": 0.99})
    config.voice = "en-us"  # eSpeak's, which makes phones of a text
    config.prosody = ConfigDict({"num_steps": 1000, "channels": 64})
    config.log_every = 10
    config.checkpoint_every = 200
    config.keep_checkpoints = 2
    config.held_out_split = "validation"
    config.held_out_recordings = 5
    config.preview_s = 2.0
    return config
