"""Phones from raw audio (section 3.4 of the paper): TIMIT at 16 kHz.

    python -m experiments.prepare --dataset=timit --source=TIMIT --data_dir=corpora
    python -m experiments.train --config=experiments/configs/timit.py \\
        --workdir=runs/timit --data_dir=corpora
    python -m experiments.evaluate --workdir=runs/timit --data_dir=corpora --split=test \\
        --tune_on=validation

Trained on 48 phones and scored on 39 (Lee and Hon, 1989), on the core test set of 24 speakers;
the usual 50 other speakers are the validation split; sentences `sa` are left out. The paper
reports a phone error rate of 18.8%, without the layers and the weights of the losses.

SOURCE may also be NLTK's sample of TIMIT: then dialect region 6 is the validation split, and
region 7 the test split. On the three minutes that are left to train on (64 sentences), the best
result so far begins with the recognizer of eSpeak's voices (`espeak_phones`), and leaves out the
loss of the samples, which takes time:

    python -m experiments.train --config=experiments/configs/timit.py \\
        --workdir=runs/timit_first --data_dir=corpora --config.pretrained=runs/espeak_phones \\
        --config.training.generation_weight=0.0 --config.num_steps=1400
    python -m experiments.train --config=experiments/configs/timit.py \\
        --workdir=runs/timit --data_dir=corpora --config.pretrained=runs/timit_first \\
        --config.training.generation_weight=0.0 --config.num_steps=1500 \\
        --config.training.learning_rate=0.002 --config.recognizer.dropout=0.3

Two cores of an AMD EPYC, 2026-11-21: steps of 2.1 seconds; phone error rate 43.7% over the 650
phones of the test split (95%: 40.2 to 46.9%), 45.8% after the first of the two.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "timit"
    config.sample_rate_hz = 16000
    config.task = "recognize"
    config.model.update(
        dilations=tuple(2**i for i in range(10)),
        residual_channels=32,
        gate_channels=32,
        skip_channels=64,
        head_channels=64,
    )
    config.recognizer.update(folding="timit", hop_samples=160, channels=256, dropout=0.5)
    config.recognizer.decoding.update(prior_weight=0.3, lm_weight=3.0, insertion_penalty=4.0)
    config.augmentation.update(speeds=(0.85, 0.92, 1.0, 1.08, 1.15), gain_db=6.0, noise_snr_db=45.0)

    config.batch_size = 4
    config.segment_samples = 160 * 200
    config.num_steps = 2000
    config.training.update(learning_rate=3e-3, warmup_steps=50, ema_decay=0.99)
    schema.when_pretrained(config, num_steps=1400)
    config.held_out_recordings = 20
    return config
