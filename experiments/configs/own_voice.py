"""Text-to-speech in one's own voice: a folder of clips with their texts, at 16 kHz.

    python -m experiments.prepare --dataset=folder --source=CLIPS --labels=TABLE --align=en-us \\
        --f0 --sample_rate_hz=16000 --mono --data_dir=corpora
    python -m experiments.train --config=experiments/configs/own_voice.py \\
        --workdir=runs/own_voice --data_dir=corpora \\
        --config.pretrained=experiments/pretrained/tts
    python -m experiments.train_prosody --workdir=runs/own_voice --data_dir=corpora
    python -m experiments.speak --workdir=runs/own_voice --out=hello.wav \\
        --text="she walked along the river in the evening"

The network is that of `tts.py`, and so of `experiments/pretrained/tts`. `own_voice_22k.py` is the
same at 22.05 kHz. What came of three minutes of a reader: docs/own_voice.md.
"""

from ml_collections import ConfigDict

from experiments.configs import schema, tts


def get_config() -> ConfigDict:
    config = tts.get_config()
    config.dataset = "folder"
    config.num_steps = 6000
    schema.when_pretrained(config, num_steps=1500)
    config.prosody.update(context_dropout=0.5, input_noise=0.1)
    config.checkpoint_every = 500
    return config
