"""Training a run in its work directory, and the scores and previews on the way."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

import data
from experiments.common import cli, plots, restore, signals
from experiments.common.reporting import Reporter
from experiments.common.run import Run
from experiments.metrics import phone_errors
from wavenet_jax import InputError, checkpoints, sampling, scoring, training


class TrainingResult(NamedTuple):
    """How a call of `train` ended.

    Attributes:
      state: the last state.
      stopped: whether a signal ended it before `config.num_steps`; it is saved, and the
        same call goes on from there.
    """

    state: training.TrainState
    stopped: bool


def train(
    config: ml_collections.ConfigDict,
    *,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> TrainingResult:
    """Trains to `config.num_steps`, from the newest checkpoint if there is one.

    Args:
      config: of a file in `experiments/configs`.
      workdir: gets `checkpoints/STEP/`, `history.jsonl` and `tensorboard/`.
      data_dir: folder of prepared corpora.

    Raises:
      InputError, data.DataError: bad input; nothing that was there is lost.
      training.NonFiniteLossError: the loss is no number; earlier checkpoints stay.
    """
    corpus = data.load(config.dataset, data_dir, "train", pre_emphasis=config.pre_emphasis)
    if number := config.get("train_recordings"):
        corpus = corpus.some(number)
    run = Run.create(config, corpus)
    held_out = run.load(data_dir, config.held_out_split)
    batches = run.windows(corpus, shard_index=jax.process_index(), shard_count=jax.process_count())
    cli.require_writable(workdir)
    with contextlib.ExitStack() as stack:
        stack.callback(batches.close)
        saved = stack.enter_context(checkpoints.Checkpoints(workdir, keep=config.keep_checkpoints))
        if saved.latest_step is None:
            state = training.init_state(run.model, run.training, pretrained=_pretrained(run))
        else:
            checkpoint = saved.restore()
            run.check_continues(checkpoint.config)
            state = checkpoint.state
            batches.set_state(checkpoint.data_position)
        first_step = int(state.step)
        if first_step >= config.num_steps:
            print(
                f"{workdir} is trained to step {first_step} already: raise "
                "--config.num_steps to go on.",
                file=sys.stderr,
            )
            return TrainingResult(state, stopped=False)
        reporter = stack.enter_context(
            Reporter(
                workdir,
                num_steps=config.num_steps,
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
            if step % config.log_every == 0 or step == config.num_steps:
                named = {f"train/{name}": value for name, value in metrics.items()}
                reporter.scalars(step, named)

        def on_checkpoint(state: training.TrainState) -> None:
            step, score = int(state.step), None
            if step % config.checkpoint_every == 0 or step == config.num_steps:
                params = jax.device_get(state.ema_params)
                scores = held_out_scores(run, params, held_out)
                reporter.scalars(step, {f"held_out/{name}": x for name, x in scores.items()})
                *_, score = scores.values()
                if config.preview_s:
                    key = jax.random.wrap_key_data(jax.device_get(state.key))
                    _preview(run, params, key, held_out, reporter, step)
            saved.save(
                state,
                data_position=batches.get_state(),
                config=run.to_dict(),
                score=score,
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
    stopped = int(state.step) < config.num_steps
    if stopped:
        print(
            f"Stopped and saved at step {int(state.step)} of {config.num_steps}: "
            "the same command goes on from there.",
            file=sys.stderr,
        )
    return TrainingResult(state, stopped)


def _pretrained(run: Run) -> Any:
    """The parameters of the run that `config.pretrained` names, if it names one.

    Raises:
      InputError: there is none, or it hears another rate.
    """
    workdir = run.config.get("pretrained")
    if not workdir:
        return None
    trained = restore.load(workdir)
    if trained.run.sample_rate_hz != run.sample_rate_hz:
        raise InputError(
            f"The pretrained model in {workdir} hears {trained.run.sample_rate_hz} Hz, and "
            f"the config {run.sample_rate_hz} Hz: use one of the same rate."
        )
    return trained.params


def held_out_scores(run: Run, params, corpus: data.Corpus) -> dict[str, float]:
    """What the first held-out recordings score, whole; the last is what checkpoints go by.

    Returns:
      `bits_per_sample` of a model that learns to generate; `phone_error_rate` of a
      recognizer.
    """
    number = run.config["held_out_recordings"]
    scores = {}
    if run.generates:
        some = _first(run, corpus, number)
        scores["bits_per_sample"] = scoring.bits_per_sample(scoring.score(run.model, params, some))
    if run.model.recognizer is not None:
        heard = phone_errors.collect_posteriors(run, params, corpus, number)
        counts = phone_errors.errors(run, heard)
        scores["phone_error_rate"] = phone_errors.total(counts).rate
    return scores


def _preview(run: Run, params, key, corpus: data.Corpus, reporter: Reporter, step: int) -> None:
    """Sound and picture of a generated recording, under a held-out one's conditions."""
    real = next(_first(run, corpus, 1))
    rate = run.sample_rate_hz
    length = min(len(real["samples"]), int(run.config["preview_s"] * rate))
    conditions: dict[str, Any] = {}
    if "global" in real:
        conditions["global_condition"] = real["global"][None]
    if "local" in real:
        conditions["local_condition"] = real["local"][None]
    chunks = sampling.generate(
        run.model,
        params,
        keys=key[None],
        num_samples=length,
        **conditions,
    )
    codes = np.concatenate(list(chunks), axis=1)[0]
    pcm = run.decoder()(codes)
    spoken = run.decoder()(np.asarray(run.model.quantizer.encode(real["samples"][:length])))
    reporter.audio(step, "generated", pcm, rate)
    reporter.audio(step, "real", spoken, rate)
    pair = [("real", spoken), (f"generated, step {step}", pcm)]
    reporter.figure(step, "spectrograms", plots.spectrograms(pair, rate))


def _first(run: Run, corpus: data.Corpus, number: int) -> Iterator[dict]:
    for _, recording in zip(range(number), run.recordings(corpus), strict=False):
        yield recording
