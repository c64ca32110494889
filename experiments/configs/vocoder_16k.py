"""A vocoder of many speakers: speech from its mel spectrogram, any recordings, at 16 kHz.

    python -m experiments.prepare --dataset=folder --source=SPEECH --mono --sample_rate_hz=16000 \\
        --data_dir=corpora
    python -m experiments.train --config=experiments/configs/vocoder_16k.py \\
        --workdir=runs/vocoder_16k --data_dir=corpora
    python -m experiments.sample --workdir=runs/vocoder_16k --out=runs/vocoder_16k/copies \\
        --mel_from=RECORDING

SPEECH is a folder of recordings, the more speakers the better. 80 bands from 0 to 8,000 Hz, frames
of 128 samples (8 ms) behind windows of 1,024; the network of `tts.py`, so that it may begin with
`--config.pretrained=experiments/pretrained/tts`.
"""

from ml_collections import ConfigDict

from experiments.configs import vocoder


def get_config() -> ConfigDict:
    config = vocoder.get_config()
    config.dataset = "folder"
    config.sample_rate_hz = 16000
    config.local_condition.update(hop_samples=128, channels=128)
    config.model.update(
        dilations=(1, 3, 9, 27, 81, 243, 1, 3, 9, 27, 81),
        residual_channels=64,
        gate_channels=64,
        skip_channels=64,
    )

    config.segment_samples = 16 * 128
    config.held_out_recordings = 8
    return config
