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
region 7 the test split. On the three minutes that are left to train on (64 sentences) it begins
with the recognizer of eSpeak's voices:

    python -m experiments.train --config=experiments/configs/timit.py \\
        --workdir=runs/timit --data_dir=corpora --config.pretrained=runs/espeak_phones

What came of it, with the loss of the samples and without: docs/recognition.md.
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
    config.training.update(
        optimizer="muon",
        learning_rate=3e-3,
        matrix_learning_rate=1e-2,
        beta2=0.99,
        warmup_steps=50,
        decay="linear",
        fused="bfloat16",
        ema_decay=0.99,
    )
    schema.when_pretrained(config, num_steps=1400, learning_rate=1e-3, matrix_learning_rate=5e-3)
    config.held_out_recordings = 20
    return config
