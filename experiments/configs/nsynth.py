"""The WaveNet autoencoder of Engel et al. (2017, arXiv:1704.01279), on NSynth.

    python -m experiments.prepare --dataset=nsynth --source=NSYNTH --data_dir=corpora
    python -m experiments.train --config=experiments/configs/nsynth.py --workdir=runs/nsynth \\
        --data_dir=corpora
    python -m experiments.transform --workdir=runs/nsynth --out=out --label=60 RECORDING

The numbers are the paper's and those of its published code (magenta/magenta, `h512_bo16`): an
encoder of three cycles of ten layers, 128 channels and 3 taps; embeddings of 16 numbers each 512
samples (32 ms); a decoder of three cycles of ten layers, 512 channels, 256 of the skips, 3 taps, at
the input too, which takes samples as values; the pitch as a global condition; 200,000 steps of
32 x 6,144 samples at 2e-4, and a moving average of 0.9999. Here the same number of samples are 8
windows, since each has the sound around it that its embeddings depend on, where the code pads with
zeros; the learning rate falls along a cosine instead of in steps; and the embeddings condition the
layers alone, not the head too. Not trained, for lack of NSynth and of hardware.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "nsynth"
    config.sample_rate_hz = 16000
    cycle = tuple(2**i for i in range(10))
    config.global_condition.update(labels=("pitch",), channels=128)
    config.local_condition.update(features="encoder", channels=16, hop_samples=512)
    config.encoder.update(latent_channels=16, dilations=cycle * 3, kernel_size=3, channels=128)
    config.model.update(
        dilations=cycle * 3,
        kernel_size=3,
        input_kernel_size=3,
        residual_channels=512,
        gate_channels=512,
        skip_channels=256,
        head_channels=256,
        input="scalar",
    )
    config.batch_size = 8
    config.segment_samples = 48 * 512
    config.num_steps = 200_000
    config.training.update(learning_rate=2e-4, warmup_steps=500, ema_decay=0.9999)
    schema.when_pretrained(config, num_steps=40_000, learning_rate=7e-5)
    config.log_every = 50
    config.checkpoint_every = 5000
    config.keep_checkpoints = 3
    config.held_out_recordings = 100
    config.preview_s = 4.0
    return config
