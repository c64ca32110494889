"""Music of given tags (section 3.3 of the paper): MagnaTagATune, the 50 usual tags.

    python -m experiments.prepare --dataset=magnatagatune --source=MAGNATAGATUNE --skip_bad \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/music_tags.py \\
        --workdir=runs/music_tags --data_dir=corpora
    python -m experiments.sample --workdir=runs/music_tags --out=runs/music_tags/samples \\
        --label=guitar+slow,techno --num_samples=4 --seconds=5

The network of `piano.py`, conditioned on the tags of the clip. The recipe was built but not
trained, for lack of MagnaTagATune.
"""

from ml_collections import ConfigDict

from experiments.configs import piano


def get_config() -> ConfigDict:
    config = piano.get_config()
    config.dataset = "magnatagatune"
    config.global_condition.update(labels=("tags",), multi_label=True, channels=64)
    return config
