"""A recognizer of phones trained on speech that eSpeak NG synthesises, in any amount.

    VOICES=en-us,en-us+f1,en-us+f2,en-us+f4,en-us+f5,en-us+m1,en-us+m2
    VOICES=$VOICES,en-us+m4,en-us+m6,en-us+m7,en-us+m8
    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=2400 \\
        --voices=$VOICES --sample_rate_hz=16000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/espeak_phones.py \\
        --workdir=runs/espeak_phones --data_dir=corpora

and, for voices and texts that it was not trained on,

    python -m experiments.prepare --dataset=espeak --domain=sentences --num_utterances=300 \\
        --voices=en-us+f3,en-us+m3,en-us+m5 --seed=1 --sample_rate_hz=16000 --data_dir=unheard
    python -m experiments.evaluate --workdir=runs/espeak_phones --data_dir=unheard --split=train

Two cores of an AMD EPYC, 2026-11-21, before its layers were fused: 800 steps of 1.3 to 1.6 seconds;
phone error rate 1.2% over the 8,883 phones of 270 sentences (95%: 1.0 to 1.5%), 11.6% without the
language model; 0.6% in the voices of the training.

The stack is that of timit.py, which it can initialise (`--config.pretrained`). With this much data
the loss of the frames alone is as good, and a step takes less time.
"""

from ml_collections import ConfigDict

from experiments.configs import schema, timit


def get_config() -> ConfigDict:
    config = timit.get_config()
    config.dataset = "espeak"
    config.recognizer.update(folding="none", channels=128, dropout=0.0)
    config.recognizer.decoding.update(prior_weight=0.6, lm_weight=1.0, insertion_penalty=0.0)
    config.augmentation.update(speeds=(0.9, 1.0, 1.1), noise_snr_db=15.0)
    # Muon, which the recipe of TIMIT has, was no better here (docs/recognition.md).
    config.training.update(optimizer="adam", beta2=0.999, decay="cosine", fused="float32")
    config.training.generation_weight = 0.0
    config.num_steps = 800
    schema.when_pretrained(config, num_steps=160, learning_rate=1e-3)
    return config
