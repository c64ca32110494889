from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.dataset = "fsdd"
    config.sample_rate_hz = 8000
    config.num_steps = 3000
    config.checkpoint_every = 1000
    config.keep_checkpoints = 3
    config.log_every = 20
    config.batch_size = 16
    config.segment_samples = 1500
    config.seed = 0
    config.num_workers = 0
    config.held_out_split = "validation"
    config.held_out_recordings = 100
    config.preview_s = 1.0
    config.global_condition = ConfigDict({"label": "speaker", "channels": 16})
    config.local_condition = None
    config.model = ConfigDict(
        {
            "dilations": tuple(2**i for i in range(9)) * 2,
            "residual_channels": 32,
            "gate_channels": 32,
            "skip_channels": 128,
            "head_channels": 128,
        }
    )
    config.training = ConfigDict({"learning_rate": 2e-3, "warmup_steps": 100, "ema_decay": 0.99})
    return config
