"""A config for tests: fsdd.py with everything made small."""

import ml_collections

from experiments.configs import fsdd, schema

RECOGNIZER_RATE_HZ = 4000
MEL = {"hop_samples": 20, "n_fft": 160, "num_mels": 10, "fmin_hz": 50.0, "fmax_hz": 3900.0}
"""Of a vocoder of 8 kHz, as fields of `data.MelConfig`."""


def get_config() -> ml_collections.ConfigDict:
    config = fsdd.get_config()
    config.num_steps = 120
    config.checkpoint_every = 24
    config.log_every = 1
    config.batch_size = 8
    config.segment_samples = 60
    config.seed = 3
    config.held_out_recordings = 2
    config.preview_every = 0.0
    config.global_condition.channels = 4
    config.model.update(
        dilations=(1, 2, 4),
        kernel_size=2,
        residual_channels=8,
        gate_channels=8,
        skip_channels=16,
        head_channels=16,
    )
    config.training.update(
        optimizer="adam", learning_rate=1e-2, beta2=0.999, warmup_steps=10, ema_decay=0.999
    )
    return config


def recognizer_config(**recognizer) -> ml_collections.ConfigDict:
    """A recognizer of eSpeak's phones, with these fields of its own."""
    config = get_config()
    config.dataset = "espeak"
    config.sample_rate_hz = RECOGNIZER_RATE_HZ
    config.task = "recognize"
    config.global_condition.labels = ()
    config.segment_samples = 1600
    config.batch_size = 8
    config.num_steps = config.checkpoint_every = 60
    config.recognizer.update(hop_samples=40, channels=64, kernel_size=5, dilations=(1, 2))
    config.recognizer.update(recognizer)
    config.recognizer.decoding.update(prior_weight=0.3, lm_weight=1.0, insertion_penalty=0.0)
    return config


def autoencoder_config() -> ml_collections.ConfigDict:
    """An autoencoder of the hummed corpus, whose pitch is the digit and instrument the speaker."""
    config = get_config()
    config.num_steps = 6
    config.checkpoint_every = 3
    config.global_condition.labels = ("digit",)
    config.local_condition.update(features="encoder", channels=4, hop_samples=20)
    config.encoder.update(latent_channels=3, dilations=(1, 3), channels=8)
    return config


def experiment(
    config: ml_collections.ConfigDict | None = None, **changes
) -> schema.ExperimentConfig:
    """The experiment of a config, by default of `get_config`, with changes: flags' values by
    their names, `**{"model.dropout": 0.1}`."""
    config = get_config() if config is None else config
    config.update_from_flattened_dict(changes)
    return schema.from_config_dict(config)
