"""A WaveNet autoencoder of single notes, eight instruments at 8 kHz, for two CPU cores.

    python -m experiments.prepare --dataset=notes --moved_semitones=2 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/notes.py --workdir=runs/notes \\
        --data_dir=corpora
    python -m experiments.studies.autoencoder --workdir=runs/notes --data_dir=corpora \\
        --split=test --temperature=0.3 --out=runs/notes/reconstructed
    python -m experiments.transform --workdir=runs/notes --out=out --label=60 RECORDING

Like `nsynth.py` with everything made small: embeddings of 16 numbers each 256 samples (32 ms), made
by 5 layers that hear 15 ms beyond a frame on either side; the pitch is a label, and all else of a
note, the instrument above all, is in the embeddings. Windows at seven speeds keep a model of half
a million parameters from learning 22 minutes of notes by heart. What the decoder hears has a gain
of its own, noise, and samples of its own, so that level and pitch are those of the embeddings and
the label (docs/autoencoder.md).
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "notes"
    config.sample_rate_hz = 8000
    cycle = tuple(3**i for i in range(5))
    config.global_condition.update(labels=("pitch",), channels=32)
    config.local_condition.update(features="encoder", channels=32, hop_samples=256)
    config.encoder.update(latent_channels=16, dilations=cycle, kernel_size=3, channels=32)
    config.model.update(
        dilations=cycle * 2,
        kernel_size=3,
        residual_channels=64,
        gate_channels=64,
        skip_channels=128,
        head_channels=128,
    )

    config.batch_size = 4
    config.segment_samples = 8 * 256
    config.num_steps = 8000
    config.augmentation.update(speeds=(0.98, 0.987, 0.993, 1.0, 1.007, 1.013, 1.02), gain_db=6.0)
    config.training.update(
        optimizer="muon",
        learning_rate=3e-3,
        matrix_learning_rate=1e-2,
        beta2=0.99,
        input_noise=0.015,
        input_gain_db=6.0,
        scheduled_sampling=0.5,
        warmup_steps=50,
        decay="linear",
        fused="bfloat16",
        ema_decay=0.99,
    )
    schema.when_pretrained(config, num_steps=1600, learning_rate=1e-3, matrix_learning_rate=3e-3)
    config.checkpoint_every = 500
    config.held_out_recordings = 24
    config.preview_s = 1.0
    return config
