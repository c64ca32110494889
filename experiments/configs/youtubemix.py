"""YouTubeMix by the protocol of published bits: piano, mu-law codes, pieces of 8.192 s.

    python -m experiments.prepare --dataset=youtube_mix --source=YOUTUBEMIX --own_range=mu_law \\
        --piece_samples=131072 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/youtubemix.py \\
        --workdir=runs/youtubemix --data_dir=corpora
    python -m experiments.evaluate --workdir=runs/youtubemix --data_dir=corpora --split=test \\
        --sample_bits=youtubemix.npz

The model of sc09.py, published with 1.449 bits per sample (docs/published_bits.md). Not trained,
for lack of the recordings; piano.py is the same music with a context stack.
"""

from ml_collections import ConfigDict

from experiments.configs import beethoven


def get_config() -> ConfigDict:
    config = beethoven.get_config()
    config.dataset = "youtube_mix"
    config.model.companding = "mu_law"
    return config
