"""Many speakers, one model (section 3.1 of the paper): VCTK at 16 kHz, the speaker given.

    python -m experiments.prepare --dataset=vctk --source=VCTK-Corpus-0.92.zip \\
        --sample_rate_hz=16000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/multispeaker.py \\
        --workdir=runs/multispeaker --data_dir=corpora
    python -m experiments.sample --workdir=runs/multispeaker --out=runs/multispeaker/samples \\
        --label=p225,p226 --num_samples=8 --seconds=4

The network of `reference.py`, whose receptive field is 192 ms; the paper's is about 300 ms. The
recipe was built but not trained, for lack of VCTK; `fsdd.py` is the same on a corpus at hand.
"""

from ml_collections import ConfigDict

from experiments.configs import reference


def get_config() -> ConfigDict:
    config = reference.get_config()
    config.dataset = "vctk"
    config.global_condition.update(labels=("speaker",), channels=64)
    config.batch_size = 8
    return config
