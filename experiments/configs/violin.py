"""Solo violin (section 3.3 of the paper's music), with a context stack, for two CPU cores.

    python -m experiments.prepare --dataset=folder --source=BACH_VIOLIN --mono \\
        --sample_rate_hz=8000 --licence="CC BY 3.0: John Garner, MinJi Kim" --data_dir=corpora
    python -m experiments.train --config=experiments/configs/violin.py \\
        --workdir=runs/violin --data_dir=corpora
    python -m experiments.studies.receptive_field --data_dir=corpora --workdir=runs/receptive_field

BACH_VIOLIN are movements of Bach's sonatas and partitas (bach-violin-dataset, CC BY 3.0); any
solo recordings will do. The receptive field of the main stack is 182 ms, that of the context
stack, with frames of 8 ms, 4 s. The effect of a larger receptive field is in docs/benchmarks.md.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "folder"
    config.sample_rate_hz = 8000
    config.model.update(
        kernel_size=3,
        dilations=tuple(3**i for i in range(6)) * 2,
        residual_channels=32,
        gate_channels=32,
        skip_channels=64,
        head_channels=128,
    )
    config.model.context_stacks = (
        {"hop_samples": 64, "dilations": tuple(2**i for i in range(9)), "channels": 32},
    )

    config.batch_size = 8
    config.segment_samples = 32 * 64
    config.num_steps = 6000
    config.training.update(
        optimizer="muon",
        learning_rate=6e-3,
        matrix_learning_rate=2e-2,
        beta2=0.99,
        input_noise=0.005,
        scheduled_sampling=0.5,
        warmup_steps=50,
        decay="linear",
        fused="bfloat16",
        ema_decay=0.99,
    )
    schema.when_pretrained(config, num_steps=1200, learning_rate=2e-3, matrix_learning_rate=7e-3)
    config.checkpoint_every = 500
    config.held_out_recordings = 1
    config.preview_s = 4.0
    return config
