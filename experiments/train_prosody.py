"""Trains the models of durations and of pitch that speaking needs, beside a WaveNet.

    python -m experiments.train_prosody --workdir=runs/tts --data_dir=corpora

For a checkpoint conditioned on linguistic features (`configs/tts.py`), on the corpus it was
trained on. `config.prosody` says how long and how large. They are kept in `WORKDIR/prosody`,
whatever becomes of the WaveNet's later checkpoints. Stopped by Ctrl-C or SIGTERM, the same
command goes on. At the end it says how far off they are on held-out recordings.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

import data
from experiments import checkpointed, cli, prosody, train
from experiments.experiment import Experiment
from wavenet_jax import InputError, checkpoints
from wavenet_jax.prosody import OUTPUTS, ProsodyConfig, batch_of, init_state, make_step
from wavenet_jax.training import NonFiniteLossError

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("step")

LOG_EVERY = 10


def train_prosody(
    experiment: Experiment,
    *,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> bool:
    """Trains both networks to their ends, from where they were stopped.

    Args:
      experiment: of the WaveNet in `workdir`.
      workdir: gets `prosody/duration/STEP` and `prosody/pitch/STEP`.
      data_dir: folder of corpora.

    Returns:
      Whether both are trained; False if asked to stop before.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
      NonFiniteLossError: a loss is no number; nothing is saved.
    """
    if "prosody" not in experiment.config:
        raise InputError(
            "The run's config has no prosody: train with one that has, such as "
            "--config=experiments/configs/tts.py."
        )
    corpus = experiment.load(data_dir, "train")
    needed = ("phone_starts", "phone_ends", "f0_hz")
    if missing := [name for name in needed if name not in corpus.recording(0)]:
        raise InputError(
            f"The {corpus.name} corpus has no {missing[0]}, which prosody is learnt from: prepare "
            "it with --f0, and with --align=VOICE where it has text alone."
        )
    return all(_train(experiment, corpus, kind, workdir) for kind in OUTPUTS)


def _train(
    experiment: Experiment, corpus: data.Corpus, kind: str, workdir: str | os.PathLike[str]
) -> bool:
    config = ProsodyConfig(kind, _widths(experiment, corpus, kind), **experiment.config["prosody"])
    saved = checkpoints.restore_prosody(workdir, kind)
    if saved is not None:
        prosody.check_fits(experiment, saved, workdir)
        if saved.config != config:
            raise InputError(
                f"{workdir} holds a {kind} model trained with {saved.config}, and the config says "
                f"{config}: delete {workdir}/prosody to train it again."
            )
    state = init_state(config) if saved is None else saved.state
    step, first = make_step(config), int(state.step)
    with (
        train.stop_on_signals() as should_stop,
        tqdm(
            total=config.num_steps, initial=first, desc=kind, unit="step", file=sys.stderr
        ) as progress,
    ):
        for i in range(first, config.num_steps):
            state, loss = step(state, _batch(experiment, corpus, config, i))
            progress.update()
            if i % LOG_EVERY == 0 or i + 1 == config.num_steps:
                if not np.isfinite(loss):
                    raise NonFiniteLossError(
                        f"At step {i + 1} the loss of the {kind} model is {loss}: lower "
                        "config.prosody.learning_rate, or look for damaged recordings."
                    )
                progress.set_postfix(loss=f"{float(loss):.3f}")
            if should_stop(i + 1):
                break
    if int(state.step) > first:
        checkpoints.save_prosody(workdir, config, state, prosody.description(experiment))
    if done := int(state.step) < config.num_steps:
        print(
            f"Stopped and saved at step {int(state.step)} of {config.num_steps} of the {kind} "
            "model: the same command goes on from there.",
            file=sys.stderr,
        )
    return not done


def _widths(experiment: Experiment, corpus: data.Corpus, kind: str) -> int:
    features, _ = _example(experiment, corpus, kind, 0)
    return features.shape[1]


def _batch(experiment: Experiment, corpus: data.Corpus, config: ProsodyConfig, step: int):
    """Sentences of a step, a function of the seed and the step."""
    random = np.random.default_rng((config.seed, step))
    chosen = random.integers(len(corpus), size=config.batch_size)
    pairs = [_example(experiment, corpus, config.kind, int(i)) for i in chosen]
    return batch_of([x for x, _ in pairs], [y for _, y in pairs])


def _example(
    experiment: Experiment, corpus: data.Corpus, kind: str, recording: int
) -> tuple[np.ndarray, np.ndarray]:
    voice = prosody.voice_of(experiment, experiment.global_condition_of(corpus, recording))
    features, targets = prosody.EXAMPLES[kind](experiment, corpus.recording(recording))
    return prosody.with_voice(features, voice), targets


def prosody_errors(
    trained: prosody.Prosody, corpus: data.Corpus, number: int | None = None
) -> dict[str, float]:
    """How far predictions are from recordings, each frame or phone once.

    Args:
      trained: of `prosody.load`.
      corpus: recordings with phones in time and pitch.
      number: how many of its first; all by default.

    Returns:
      `duration_rmse_ms` and `duration_correlation` of phones that are no pauses at an end;
      `f0_rmse_cents` and `f0_correlation` (of ln F0) over frames that are voiced in truth and
      prediction, given the true durations; `voicing_error`, the share of frames whose
      voicing is wrong.
    """
    experiment = trained.experiment
    durations, pitches = [], []
    for i in range(len(corpus) if number is None else number):
        recording = corpus.recording(i)
        voice = prosody.voice_of(experiment, experiment.global_condition_of(corpus, i))
        contexts, _ = prosody.duration_example(experiment, recording)
        true = np.asarray(recording["phone_ends"]) - np.asarray(recording["phone_starts"])
        said = trained.durations(contexts, voice)
        durations.append(np.stack([true, said])[:, 1:-1] / experiment.sample_rate_hz * 1000)
        frames, heard = prosody.pitch_example(experiment, recording)
        pitches.append(np.stack([heard, trained.log_f0(frames, voice)]))
    true_ms, said_ms = np.concatenate(durations, axis=1)
    heard, predicted = np.concatenate(pitches, axis=1)
    return {
        "duration_rmse_ms": float(np.sqrt(np.mean((true_ms - said_ms) ** 2))),
        "duration_correlation": float(np.corrcoef(true_ms, said_ms)[0, 1]),
        **f0_errors(heard, predicted),
    }


def f0_errors(true: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """How far one pitch is from another.

    Args:
      true, other: ln F0 and voicing, `[F, 2]`.

    Returns:
      `f0_rmse_cents`, `f0_median_cents` (of the absolute error), `f0_correlation` and
      `voicing_error`, as in `prosody_errors`; nan where too few frames are voiced in both.
    """
    voiced, also = true[:, 1] > 0.5, other[:, 1] > 0.5
    both = voiced & also
    a, b = true[both, 0], other[both, 0]
    correlation = np.corrcoef(a, b)[0, 1] if len(a) > 1 and a.std() and b.std() else np.nan
    cents = 1200 / np.log(2) * np.abs(a - b) if len(a) else np.full(1, np.nan)
    return {
        "f0_rmse_cents": float(np.sqrt(np.mean(cents**2))),
        "f0_median_cents": float(np.median(cents)),
        "f0_correlation": float(correlation),
        "voicing_error": float(np.mean(voiced != also)),
    }


def sentence(errors: dict[str, float]) -> str:
    """What `prosody_errors` found, in words."""
    return (
        f"durations {errors['duration_rmse_ms']:.1f} ms off (correlation "
        f"{errors['duration_correlation']:.2f}), {f0_sentence(errors)}"
    )


def f0_sentence(errors: dict[str, float]) -> str:
    """What `f0_errors` found, in words."""
    return (
        f"F0 {errors['f0_median_cents']:.0f} cents off in the median, "
        f"{errors['f0_rmse_cents']:.0f} rms (correlation "
        f"{errors['f0_correlation']:.2f}), voicing wrong in {errors['voicing_error']:.1%} of the "
        "frames"
    )


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir)
    experiment = checkpointed.load(FLAGS.workdir, checkpointed.STEP.value).experiment
    if not train_prosody(experiment, workdir=FLAGS.workdir, data_dir=FLAGS.data_dir):
        return
    split = experiment.config["held_out_split"]
    figures: dict[str, Any] = prosody_errors(
        prosody.load(FLAGS.workdir, experiment), experiment.load(FLAGS.data_dir, split)
    )
    print(f"{split}: {sentence(figures)}")
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
