"""Phones of speech that eSpeak NG synthesises: a recognizer on as much data as one likes.

    VOICES=en-us,en-us+f1,en-us+f2,en-us+f4,en-us+f5,en-us+m1,en-us+m2
    VOICES=$VOICES,en-us+m4,en-us+m6,en-us+m7,en-us+m8
    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=2400 \\
        --voices=$VOICES --sample_rate_hz=16000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/espeak_phones.py \\
        --workdir=runs/espeak_phones --data_dir=corpora

and, for voices and texts that it has not heard,

    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=300 \\
        --voices=en-us+f3,en-us+m3,en-us+m5 --seed=1 --sample_rate_hz=16000 --data_dir=unheard
    python -m experiments.evaluate --workdir=runs/espeak_phones --data_dir=unheard --split=train

(none of which it was trained on). Two cores of an AMD EPYC, 2026-11-21: 800 steps of 1.3 to 1.6
seconds; 1.2% of the 8,883 phones of 270 sentences are mistaken (95%: 1.0 to 1.5%), 11.6% without
the model of sequences, whose frames change their minds; 0.6% in voices that it knows.

The stack is that of timit.py, of which it can be the beginning (`--config.pretrained`). Where
there is so much to hear, the frames' loss alone teaches as much, and a step takes less time.
"""

from ml_collections import ConfigDict

from experiments.configs import timit


def get_config() -> ConfigDict:
    config = timit.get_config()
    config.dataset = "espeak"
    config.recognizer.update(folding="none", channels=128, dropout=0.0)
    config.recognizer.decoding.update(prior_weight=0.6, lm_weight=1.0, insertion_penalty=0.0)
    config.augmentation.update(speeds=(0.9, 1.0, 1.1), noise_snr_db=15.0)
    config.training.generation_weight = 0.0
    config.num_steps = 800
    return config
