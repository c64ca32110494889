"""A config for tests: fsdd.py with everything made small."""

import ml_collections

from experiments.configs import fsdd

RECOGNIZER_RATE_HZ = 4000


def get_config() -> ml_collections.ConfigDict:
    config = fsdd.get_config()
    config.num_steps = 120
    config.checkpoint_every = 24
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


def recognizer_config(**recognizer) -> ml_collections.ConfigDict:
    """A recognizer of what eSpeak says, with fields of its own."""
    config = get_config()
    config.dataset = "espeak"
    config.sample_rate_hz = RECOGNIZER_RATE_HZ
    config.global_condition = None
    config.segment_samples = 1600
    config.batch_size = 8
    config.num_steps = config.checkpoint_every = 60
    config.recognizer = ml_collections.ConfigDict(
        {
            "folding": "none",
            "loss": "frames",
            "hop_samples": 40,
            "channels": 64,
            "kernel_size": 5,
            "dilations": (1, 2),
            "dropout": 0.0,
            "decoding": {"prior_weight": 0.3, "lm_weight": 1.0, "insertion_penalty": 0.0},
        }
        | recognizer
    )
    return config
