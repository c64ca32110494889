"""The parallel student of the model of `gaussian.py`: a flow of small WaveNets, no sample waiting.

    python -m experiments.distill --config=experiments/configs/student.py \\
        --teacher=runs/gaussian --workdir=runs/student --data_dir=corpora
    python -m experiments.speak --workdir=runs/student --out=digits.wav --text="nine eight seven"

What came out, and how fast it is: docs/student.md.
"""

from ml_collections import ConfigDict

from experiments.configs import gaussian, schema


def get_config() -> ConfigDict:
    config = gaussian.get_config()
    config.task = "distill"
    config.student.update(
        num_flows=2,
        dilations=(1, 3, 9, 27, 81),
        residual_channels=16,
        gate_channels=16,
        skip_channels=16,
        min_log_scale=-5.5,  # half a code
        spectral_weight=10.0,  # with 1 the divergence is learned and the voice is not
    )
    config.training.update(
        input_noise=0.0,
        learning_rate=3e-3,
        matrix_learning_rate=1e-2,
        ema_decay=0.995,
    )
    config.num_steps = 2000
    schema.when_pretrained(config, num_steps=400, learning_rate=1e-3, matrix_learning_rate=3e-3)
    return config
