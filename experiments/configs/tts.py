"""Text-to-speech (section 3.2 of the paper): speech of eSpeak NG, for two CPU cores.

    python -m experiments.prepare --dataset=espeak --domain=everyday --num_utterances=3000 \\
        --num_test=160 --sample_rate_hz=16000 --data_dir=corpora
    python -m experiments.train --config=experiments/configs/tts.py \\
        --workdir=runs/tts --data_dir=corpora
    python -m experiments.train_prosody --workdir=runs/tts --data_dir=corpora
    python -m experiments.speak --workdir=runs/tts --out=hello.wav \\
        --text="the curious judge followed her shadow"

`experiments/pretrained/tts` is a model of this recipe (its card has the figures and how long it was
trained). Frames are repeated, not upsampled by transposed convolutions: after four minutes of
either that is 0.3 bits better (docs/speedrun.md). What the noise and the model's own samples do is
in docs/figures.md; what the gaps and the phases of unvoiced sounds do, in docs/text_to_speech.md.
"""

from ml_collections import ConfigDict

from experiments.configs import schema


def get_config() -> ConfigDict:
    config = schema.default()
    config.dataset = "espeak"
    config.sample_rate_hz = 16000
    config.voice = "en-us"
    config.local_condition.update(features="linguistic_f0", channels=128, hop_samples=80)
    config.model.update(
        kernel_size=3,
        dilations=(1, 3, 9, 27, 81, 243, 1, 3, 9, 27, 81),
        residual_channels=64,
        gate_channels=64,
        skip_channels=64,
        head_channels=128,
    )

    config.batch_size = 8
    config.segment_samples = 25 * config.local_condition.hop_samples
    config.num_steps = 10000
    config.augmentation.unvoiced_all_pass = 6
    config.training.update(
        optimizer="muon",
        learning_rate=2e-3,
        matrix_learning_rate=1e-2,
        beta2=0.99,
        input_noise=0.01,
        input_gaps=0.2,
        scheduled_sampling=0.5,
        warmup_steps=50,
        decay="linear",
        fused="bfloat16",
        ema_decay=0.99,
    )
    schema.when_pretrained(config, num_steps=2000, learning_rate=7e-4, matrix_learning_rate=3e-3)
    config.checkpoint_every = 2000
    config.held_out_recordings = 5
    return config
