"""Errors of predicted durations, F0 and spectra against those of recordings."""

import numpy as np

import data
from experiments.common import prosody
from experiments.common.spectral_matching import DB
from experiments.metrics import f0


def prosody_errors(
    trained: prosody.Prosody, corpus: data.Corpus, number: int | None = None
) -> dict[str, float]:
    """The errors of predictions over all phones and frames of recordings.

    Args:
      trained: of `prosody.load`.
      corpus: recordings with phones in time and F0.
      number: how many of its recordings, from the first; all by default.

    Returns:
      `duration_rmse_ms` and `duration_correlation` of phones, without the pauses at both ends;
      and `f0.f0_errors` of the frames, given the true durations; where the network is trained,
      `spectrum_error_db`, the mean absolute error of mel bands, given the true F0 as well.
    """
    run = trained.run
    durations, contours, apart_db = [], [], []
    for i in range(len(corpus) if number is None else number):
        recording = corpus.recording(i)
        voice = prosody.voice_of(run, run.global_condition_of(corpus, i))
        contexts, _ = prosody.duration_example(run, recording)
        true = np.asarray(recording["phone_ends"]) - np.asarray(recording["phone_starts"])
        durations.append(
            np.stack([true, trained.durations(contexts, voice)])[:, 1:-1]
            / run.audio.sample_rate_hz
            * 1000
        )
        frames, contour = prosody.pitch_example(run, recording)
        contours.append(np.stack([contour, trained.log_f0(frames, voice)]))
        if trained.spectrum is not None:
            frames, recorded = prosody.spectrum_example(run, recording)
            predicted = trained.spectrum_of(frames, voice)
            assert predicted is not None
            apart_db.append(DB * np.abs(predicted.frames - recorded))
    of_spectra = {}
    if apart_db:
        of_spectra["spectrum_error_db"] = float(np.mean(np.concatenate(apart_db)))
    true_ms, predicted_ms = np.concatenate(durations, axis=1)
    true_f0, predicted_f0 = np.concatenate(contours, axis=1)
    return {
        "duration_rmse_ms": float(np.sqrt(np.mean((true_ms - predicted_ms) ** 2))),
        "duration_correlation": float(np.corrcoef(true_ms, predicted_ms)[0, 1]),
        **f0.f0_errors(true_f0, predicted_f0),
        **of_spectra,
    }


def sentence(errors: dict[str, float]) -> str:
    """The figures of `prosody_errors` in words."""
    found = (
        f"durations {errors['duration_rmse_ms']:.1f} ms off (correlation "
        f"{errors['duration_correlation']:.2f}), {f0.sentence(errors)}"
    )
    if "spectrum_error_db" in errors:
        found += f"; mel bands {errors['spectrum_error_db']:.1f} dB off on average"
    return found
