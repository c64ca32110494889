"""Spoken digits of eSpeak NG at 16 kHz: the network of the demo, a larger field, and more learning.

    python -m experiments.prepare --dataset=espeak --num_utterances=900 --num_test=96 \\
        --sample_rate_hz=16000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/digits.py \\
        --workdir=runs/digits --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/digits --data_dir=corpora
    python -m experiments.speak --workdir=runs/digits --out=digits.wav --text="nine eight seven"

`experiments/pretrained/digits` is this model (its card has the figures).
"""

from ml_collections import ConfigDict

from experiments.configs import demo, schema


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.sample_rate_hz = 16000
    config.voice = "en-us"
    config.local_condition.update(features="linguistic_f0", channels=64, hop_samples=80)
    config.model.dilations = (1, 3, 9, 27, 81, 243, 1, 3, 9, 27, 81)

    config.segment_samples = 25 * config.local_condition.hop_samples
    config.num_steps = 8000
    schema.when_pretrained(config, num_steps=1600, learning_rate=2e-3, matrix_learning_rate=7e-3)
    config.checkpoint_every = 500
    return config
