"""Piano music (section 3.3 of the paper): YouTubeMix at 16 kHz, with a context stack.

    python -m experiments.prepare --dataset=youtube_mix --source=YOUTUBEMIX --data_dir=corpora
    python -m experiments.train --config=experiments/configs/piano.py \\
        --workdir=runs/piano --data_dir=corpora

The receptive field of the main stack is 192 ms as in `reference.py`; that of the context stack,
with frames of 16 ms, is 4 s. Other recordings at 16 kHz: prepare them as `folder`, `beethoven` or
`maestro` and add `--config.dataset=NAME`. The recipe was built but not trained, for lack of
YouTubeMix.
"""

from ml_collections import ConfigDict

from experiments.configs import reference


def get_config() -> ConfigDict:
    config = reference.get_config()
    config.dataset = "youtube_mix"
    config.model.context_stacks = (
        {
            "hop_samples": 256,
            "dilations": tuple(2**i for i in range(8)),
            "residual_channels": 64,
            "gate_channels": 64,
            "channels": 64,
        },
    )
    config.segment_samples = 64 * 256
    config.batch_size = 2
    config.preview_s = 5.0
    return config
