"""Text-to-speech in one's own voice: a folder of clips with their texts, at 16 kHz.

    python -m experiments.prepare --dataset=folder --source=CLIPS --labels=TABLE --align=en-us \\
        --f0 --sample_rate_hz=16000 --mono --data_dir=corpora
    python -m experiments.train --config=experiments/configs/own_voice.py \\
        --workdir=runs/own_voice --data_dir=corpora --config.pretrained=runs/tts
    python -m experiments.train_prosody --workdir=runs/own_voice --data_dir=corpora
    python -m experiments.speak --workdir=runs/own_voice --step=best --out=hello.wav \\
        --text="the curious judge followed her shadow"

`runs/tts` is a model of the same rate, which docs/own_voice.md trains on eSpeak NG's speech;
without it training begins anew. The network is that of `tts.py` with one layer more, so that it
sees 91 ms where that sees 88. `own_voice_22k.py` is the same at 22.05 kHz. Built and tried, not yet
trained to the end.
"""

from ml_collections import ConfigDict

from experiments.configs import tts


def get_config() -> ConfigDict:
    config = tts.get_config()
    config.dataset = "folder"
    config.sample_rate_hz = 16000
    config.local_condition.hop_samples = 80
    config.model.dilations = tuple(3**i for i in range(6)) * 2

    config.segment_samples = 25 * config.local_condition.hop_samples
    config.num_steps = 6000
    config.checkpoint_every = 1000
    return config
