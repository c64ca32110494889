"""A teacher of parallel students: spoken digits at 8 kHz, each sample a Gaussian.

    python -m experiments.prepare --dataset=espeak --data_dir=corpora
    python -m experiments.train --config=experiments/configs/gaussian.py \\
        --workdir=runs/gaussian --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/gaussian --data_dir=corpora

The demo's layers, twice as wide; a sample enters as its value, and its distribution is the one that
`experiments.distill` compares a student's with in closed form (ClariNet, Ping et al., 2019). The
codes are those of mu-law, without scheduled sampling (6.0 bits with it after 360 steps of half the
width, 5.0 without): of 16 linear bits eSpeak's digital silence is so sharp that the first
sample after it is thousands of standard deviations away, and 200 steps learned nothing.
"""

from ml_collections import ConfigDict

from experiments.configs import demo, schema


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.voice = "en-us"
    config.local_condition.features = "linguistic_f0"
    config.model.update(
        residual_channels=64,
        gate_channels=64,
        skip_channels=128,
        input="scalar",
        output="gaussian",
    )
    config.training.update(learning_rate=3e-3, matrix_learning_rate=1e-2, scheduled_sampling=0.0)
    config.num_steps = 2400
    schema.when_pretrained(config, num_steps=480)
    config.checkpoint_every = 400
    return config
