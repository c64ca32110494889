"""Training a run in its work directory, with held-out scores and previews on the way."""

import contextlib
import itertools
import os
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

import data
from experiments.common import cli, plots, restore, signals
from experiments.common.reporting import Reporter
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.metrics import phone_errors
from wavenet_jax import InputError, scoring, training
from wavenet_jax.audio import InverseFilter
from wavenet_jax.checkpoints import Checkpoints


class TrainingResult(NamedTuple):
    """How a call of `train` ended.

    Attributes:
      state: the last state.
      stopped: whether a signal ended it before the last step; the state is saved, and the
        same call goes on from there.
    """

    state: training.TrainState
    stopped: bool


def train(
    config: ExperimentConfig,
    *,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> TrainingResult:
    """Trains to the config's last step, from the last checkpoint if there is one.

    Args:
      config: of the experiment (`schema.from_config_dict`).
      workdir: gets `checkpoints/STEP/`, `history.jsonl` and `tensorboard/`.
      data_dir: folder of prepared corpora.

    Raises:
      InputError, data.DataError: bad input; earlier checkpoints stay.
      training.NonFiniteLossError: the loss is not finite; earlier checkpoints stay.
    """
    corpus = data.load(config.dataset, data_dir, "train")
    if config.train_recordings is not None:
        corpus = corpus.some(config.train_recordings)
    run = Run.create(config, corpus)
    corpus = corpus.filtered(run.audio.filter_taps)
    held_out = run.load(data_dir, config.held_out_split)
    batches = run.windows(corpus, shard_index=jax.process_index(), shard_count=jax.process_count())
    num_steps = config.training.num_steps
    cli.require_writable(workdir)
    with contextlib.ExitStack() as stack:
        stack.callback(batches.close)
        saved = stack.enter_context(
            Checkpoints(workdir, keep=config.keep_checkpoints, best_score=config.scores[0])
        )
        if saved.latest_step is None:
            state = training.init_state(run.model, run.training, pretrained=_pretrained(run))
        else:
            checkpoint = saved.restore("last")
            run.check_continues(Run.from_checkpoint(checkpoint))
            state = checkpoint.state
            batches.set_state(checkpoint.data_position)
        first_step = int(state.step)
        if first_step >= num_steps:
            print(
                f"{workdir} is trained to step {first_step} already: raise "
                "--config.num_steps to go on.",
                file=sys.stderr,
            )
            return TrainingResult(state, stopped=False)
        reporter = stack.enter_context(
            Reporter(
                workdir,
                num_steps=num_steps,
                samples_per_step=config.batch_size * config.segment_samples,
                resume_step=first_step,
                active=jax.process_index() == 0,
            )
        )
        should_stop = stack.enter_context(signals.stop_on_signals())

        def on_metrics(step: int, metrics: dict[str, float]) -> None:
            shown = {
                name.replace("_per_", "/"): value
                for name, value in metrics.items()
                if name.startswith("bits_per_")
            }
            reporter.progress(step, shown)
            if step % config.log_every == 0 or step == num_steps:
                named = {f"train/{name}": value for name, value in metrics.items()}
                reporter.scalars(step, named)

        def on_checkpoint(state: training.TrainState) -> None:
            step, scores = int(state.step), None
            if step % config.checkpoint_every == 0 or step == num_steps:
                trained = restore.TrainedModel(run, jax.device_get(state.ema_params), step)
                scores = held_out_scores(trained, held_out)
                reporter.scalars(step, {f"held_out/{name}": x for name, x in scores.items()})
                if config.preview_s:
                    _preview(trained, held_out, reporter)
            saved.save(
                state,
                data_position=batches.get_state(),
                description=run.to_dict(),
                scores=scores,
            )

        state = training.fit(
            run.model,
            run.training,
            state,
            batches,
            on_metrics=on_metrics,
            checkpoint_every=config.checkpoint_every,
            on_checkpoint=on_checkpoint,
            should_stop=should_stop,
        )
        saved.wait()
    stopped = int(state.step) < num_steps
    if stopped:
        print(
            f"Stopped and saved at step {int(state.step)} of {num_steps}: "
            "the same command goes on from there.",
            file=sys.stderr,
        )
    return TrainingResult(state, stopped)


def _pretrained(run: Run) -> Any:
    """The parameters of the run that `config.pretrained` names, if it names one.

    Raises:
      InputError: there is no such run, or it has another sample rate.
    """
    workdir = run.config.pretrained
    if workdir is None:
        return None
    trained = restore.load(workdir)
    there, here = trained.run.audio.sample_rate_hz, run.audio.sample_rate_hz
    if there != here:
        raise InputError(
            f"--config.pretrained is {workdir}, a model for {there} Hz, and "
            f"--config.sample_rate_hz is {here}: use a model for the same rate."
        )
    adopted = training.adopt(run.model, trained.params)
    if jax.process_index() == 0:
        print(f"{workdir}, step {trained.step}: {adopted}", file=sys.stderr)
    return trained.params


def held_out_scores(trained: restore.TrainedModel, corpus: data.Corpus) -> dict[str, float]:
    """Scores of the first held-out recordings, whole.

    Returns:
      Each of the config's `scores`, in the order of `scores`.
    """
    run, scores = trained.run, {}
    number = run.config.held_out_recordings
    if "phone_error_rate" in run.config.scores:
        found = phone_errors.collect_posteriors(run, trained.params, corpus, number)
        scores["phone_error_rate"] = phone_errors.total(phone_errors.errors(run, found)).rate
    if "bits_per_sample" in run.config.scores:
        recordings = itertools.islice(run.recordings(corpus), number)
        scored = scoring.score(run.wavenet, trained.params, recordings)
        scores["bits_per_sample"] = scoring.bits_per_sample(scored)
    return scores


def _preview(trained: restore.TrainedModel, corpus: data.Corpus, reporter: Reporter) -> None:
    """Sound and spectrogram of a generated recording, with the conditions of a held-out one."""
    run, step = trained.run, trained.step
    real, rate = next(run.recordings(corpus)), run.audio.sample_rate_hz
    length = min(len(real["samples"]), round(run.config.preview_s * rate))
    conditions = {
        f"{name}_condition": real[name][None] for name in ("global", "local") if name in real
    }
    chunks = trained.generator.generate_batch([length], seed=run.training.seed, **conditions)
    generated = np.concatenate([pcm for (pcm,) in chunks])
    quantizer = run.wavenet.quantizer
    quantized = quantizer.decode_int16(quantizer.encode(real["samples"][:length]))
    spoken = InverseFilter(run.audio.filter_taps)(np.asarray(quantized))
    reporter.audio(step, "generated", generated, rate)
    reporter.audio(step, "real", spoken, rate)
    pair = [("real", spoken), (f"generated, step {step}", generated)]
    reporter.figure(step, "spectrograms", plots.spectrograms(pair, rate))
