"""Text-to-speech in one's own voice at 22.05 kHz: `own_voice.py` and a wider receptive field.

    python -m experiments.prepare --dataset=folder --source=CLIPS --labels=TABLE --align=en-us \\
        --f0 --sample_rate_hz=22050 --mono --data_dir=corpora
    python -m experiments.train --config=experiments/configs/own_voice_22k.py \\
        --workdir=runs/own_voice --data_dir=corpora \\
        --config.pretrained=experiments/pretrained/tts

The network has three layers more, so that it sees 132 ms where that sees 61. Built and tried, not
yet trained to the end.
"""

from ml_collections import ConfigDict

from experiments.configs import own_voice


def get_config() -> ConfigDict:
    config = own_voice.get_config()
    config.sample_rate_hz = 22050
    config.local_condition.hop_samples = 110
    config.model.dilations = tuple(3**i for i in range(7)) + tuple(3**i for i in range(6))
    config.segment_samples = 25 * config.local_condition.hop_samples
    return config
