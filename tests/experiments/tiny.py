"""A config for tests: fsdd.py with everything made small."""

import ml_collections

from experiments.configs import fsdd


def get_config() -> ml_collections.ConfigDict:
    config = fsdd.get_config()
    config.num_steps = 200
    config.checkpoint_every = 40
    config.log_every = 1
    config.batch_size = 8
    config.segment_samples = 60
    config.seed = 3
    config.num_workers = 0
    config.held_out_split = "validation"
    config.held_out_recordings = 2
    config.preview_s = 0.0
    config.global_condition = ml_collections.ConfigDict({"labels": ("speaker",), "channels": 4})
    config.local_condition = None
    config.model = ml_collections.ConfigDict(
        {
            "dilations": (1, 2, 4),
            "residual_channels": 8,
            "gate_channels": 8,
            "skip_channels": 16,
            "head_channels": 16,
        }
    )
    config.training = ml_collections.ConfigDict({"learning_rate": 1e-2, "warmup_steps": 10})
    return config
