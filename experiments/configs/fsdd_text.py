"""Six speakers saying any digit, from text (Free Spoken Digit Dataset), for two CPU cores.

    python -m experiments.prepare --dataset=fsdd --source=FSDD --align=en-us --f0 \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/fsdd_text.py \\
        --workdir=runs/fsdd_text --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/fsdd_text --data_dir=corpora
    python -m experiments.speak --workdir=runs/fsdd_text --out=digits.wav --speaker=theo \\
        --text="seven, three, nine"

The network of the demo with the speaker as its global condition. A recording has one digit, so
that commas, which are pauses, belong between digits.
"""

from ml_collections import ConfigDict

from experiments.configs import demo, schema


def get_config() -> ConfigDict:
    config = demo.get_config()
    config.dataset = "fsdd"
    config.voice = "en-us"
    config.global_condition.update(labels=("speaker",), channels=16)
    config.local_condition.features = "linguistic_f0"

    config.num_steps = 6000
    schema.when_pretrained(config, num_steps=1200)
    config.held_out_recordings = 100
    return config
