"""Six speakers saying any digit, from text (Free Spoken Digit Dataset), for two CPU cores.

    python -m experiments.prepare --dataset=fsdd --source=FSDD --align=en-us --f0 \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/fsdd_text.py \\
        --workdir=runs/fsdd_text --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/fsdd_text --data_dir=corpora
    python -m experiments.speak --workdir=runs/fsdd_text --out=digits.wav --speaker=theo \\
        --text="seven, three, nine"

The network of `tts.py` at 8 kHz, with the speaker as its global condition. A recording has one
digit, so that commas, which are pauses, belong between digits. What came of it, begun with
`experiments/pretrained/tts`: docs/speakers.md.
"""

from ml_collections import ConfigDict

from experiments.configs import schema, tts


def get_config() -> ConfigDict:
    config = tts.get_config()
    config.dataset = "fsdd"
    config.sample_rate_hz = 8000
    config.global_condition.update(labels=("speaker",), channels=16)
    config.local_condition.hop_samples = 40

    config.segment_samples = 25 * config.local_condition.hop_samples
    config.num_steps = 6000
    config.augmentation.unvoiced_all_pass = 0  # No speaker repeats an unvoiced sound to the sample.
    schema.when_pretrained(config, num_steps=2000)
    config.held_out_recordings = 100
    config.preview_s = 1.0
    return config
