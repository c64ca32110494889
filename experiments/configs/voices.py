"""Several voices of eSpeak NG in one model, at 16 kHz: text-to-speech with a speaker to choose.

    VOICES=en-us,en-us+f2,en-us+f4,en-us+m3,en-us+m7,en-us+croak
    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=2400 \\
        --num_test=120 --voices=$VOICES --sample_rate_hz=16000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/voices.py \\
        --workdir=runs/voices --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/voices --data_dir=corpora
    python -m experiments.speak --workdir=runs/voices --out=hello.wav --speaker=en-us+f4 \\
        --text="the judge followed her friend"

The network of `digits.py` with the speaker as its global condition. It knows the words of
`--domain=sentences`, and other words of their phones.
"""

from ml_collections import ConfigDict

from experiments.configs import digits, schema


def get_config() -> ConfigDict:
    config = digits.get_config()
    config.global_condition.update(labels=("speaker",), channels=16)
    config.num_steps = 8000
    schema.when_pretrained(config, num_steps=1600)
    return config
