"""SC09 by the protocol of published bits: 1 s of a spoken digit, mu-law codes, no conditions.

    python -m experiments.prepare --dataset=speech_commands --source=SPEECH_COMMANDS \\
        --own_range=mu_law --data_dir=corpora
    python -m experiments.train --config=experiments/configs/sc09.py --workdir=runs/sc09 \\
        --data_dir=corpora
    python -m experiments.evaluate --workdir=runs/sc09 --data_dir=corpora --split=test \\
        --sample_bits=sc09.npz

The model is the WaveNet that SaShiMi is compared with (Goel et al., 2022, arXiv:2202.09729; the
repository state-spaces/s4): four cycles of ten layers, 64 channels, 1,024 of the skips, a receptive
field of 4,093 samples; 512 in the head, as the size of its checkpoint tells. It is published with
1.925 bits per sample (docs/published_bits.md). The optimiser is ours. Not trained, for lack of
SC09.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "speech_commands"
    config.sample_rate_hz = 16000
    config.model.update(
        dilations=tuple(2**i for i in range(10)) * 4,
        residual_channels=64,
        gate_channels=64,
        skip_channels=1024,
        head_channels=512,
    )
    config.batch_size = 32
    config.segment_samples = 16000
    config.num_steps = 200_000
    config.training.update(
        optimizer="muon",
        learning_rate=2e-3,
        matrix_learning_rate=1e-2,
        beta2=0.99,
        warmup_steps=500,
        decay="linear",
        ema_decay=0.9999,
    )
    schema.when_pretrained(config, num_steps=40_000, learning_rate=7e-4, matrix_learning_rate=3e-3)
    config.log_every = 50
    config.checkpoint_every = 5000
    config.keep_checkpoints = 3
    config.held_out_recordings = 100
    return config
