"""Phones of speech that eSpeak NG synthesises: a recognizer on as much data as one likes.

    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=3000 \\
        --voices=en-us,en-us+f1,en-us+f2,en-us+f4,en-us+m1,en-us+m2,en-us+m4,en-us+m6 \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/espeak_phones.py \\
        --workdir=runs/espeak_phones --data_dir=corpora

and, for voices and texts that it has not heard,

    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=300 \\
        --voices=en-us+f3,en-us+m3,en-us+m5 --seed=1 --data_dir=unheard
    python -m experiments.evaluate --workdir=runs/espeak_phones --data_dir=unheard --split=test
"""

from ml_collections import ConfigDict

from experiments.configs import timit


def get_config() -> ConfigDict:
    config = timit.get_config()
    config.dataset = "espeak"
    config.sample_rate_hz = 8000
    config.model.dilations = tuple(2**i for i in range(9))
    config.recognizer.folding = "none"
    config.recognizer.hop_samples = 80
    config.recognizer.dropout = 0.0
    config.augmentation = ConfigDict({"gain_db": 6.0})
    config.segment_samples = 80 * 100
    return config
