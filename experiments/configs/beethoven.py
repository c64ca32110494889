"""Beethoven's piano sonatas by the protocol of published bits: linear codes, pieces of 8 s.

    python -m experiments.prepare --dataset=beethoven --source=BEETHOVEN --own_range=linear \\
        --piece_samples=128000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/beethoven.py \\
        --workdir=runs/beethoven --data_dir=corpora
    python -m experiments.evaluate --workdir=runs/beethoven --data_dir=corpora --split=test \\
        --sample_bits=beethoven.npz

The model of sc09.py with linear codes, published with 1.032 bits per sample
(docs/published_bits.md). Not trained, for lack of the recordings.
"""

from ml_collections import ConfigDict

from experiments.configs import sc09


def get_config() -> ConfigDict:
    config = sc09.get_config()
    config.dataset = "beethoven"
    config.model.companding = "linear"
    config.batch_size = 8
    config.segment_samples = 32000
    config.held_out_recordings = 20
    config.preview_s = 5.0
    return config
