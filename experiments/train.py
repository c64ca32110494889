"""Trains a WaveNet on a prepared corpus, or resumes where it was stopped.

    python -m experiments.train --config=experiments/configs/fsdd.py \\
        --workdir=runs/fsdd --data_dir=corpora [--config.num_steps=2000 ...]

Stopped by Ctrl-C, SIGTERM or a kill, the same command goes on where it was: to
the bit for a SIGKILL too, from the last checkpoint.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import flags
from jax.experimental import multihost_utils

import data
from experiments.common import cli, plots, restore
from experiments.common.reporting import Reporter
from experiments.common.run import Experiment
from experiments.metrics import phone_errors
from wavenet_jax import InputError, checkpoints, sampling, scoring, training

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")

flags.declare_key_flag("config")
_MULTIHOST = flags.DEFINE_bool(
    "multihost", False, "One of several hosts, such as a worker of a TPU slice."
)


def train(
    config: ml_collections.ConfigDict,
    *,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> training.TrainState:
    """Trains to `config.num_steps`, from the newest checkpoint if there is one.

    Args:
      config: of a file in `experiments/configs`.
      workdir: gets `checkpoints/STEP/`, `history.jsonl` and `tensorboard/`.
      data_dir: folder of prepared corpora.

    Returns:
      The last state.

    Raises:
      InputError, data.DataError: bad input; nothing that was there is lost.
      training.NonFiniteLossError: the loss is no number; earlier checkpoints stay.
    """
    corpus = data.load(config.dataset, data_dir, "train", pre_emphasis=config.pre_emphasis)
    if number := config.get("train_recordings"):
        corpus = corpus.some(number)
    experiment = Experiment.create(config, corpus)
    held_out = experiment.load(data_dir, config.held_out_split)
    batches = experiment.windows(
        corpus, shard_index=jax.process_index(), shard_count=jax.process_count()
    )
    cli.require_writable(workdir)
    with contextlib.ExitStack() as stack:
        stack.callback(batches.close)
        saved = stack.enter_context(checkpoints.Checkpoints(workdir, keep=config.keep_checkpoints))
        if saved.latest_step is None:
            state = training.init_state(
                experiment.model, experiment.training, pretrained=_pretrained(experiment)
            )
        else:
            checkpoint = saved.restore()
            experiment.check_continues(checkpoint.config)
            state = checkpoint.state
            batches.set_state(checkpoint.data_position)
        first_step = int(state.step)
        if first_step >= config.num_steps:
            print(
                f"{workdir} is trained to step {first_step} already: raise "
                "--config.num_steps to go on.",
                file=sys.stderr,
            )
            return state
        reporter = stack.enter_context(
            Reporter(
                workdir,
                num_steps=config.num_steps,
                samples_per_step=config.batch_size * config.segment_samples,
                resume_step=first_step,
                active=jax.process_index() == 0,
            )
        )
        should_stop = stack.enter_context(stop_on_signals())

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
                scores = held_out_scores(experiment, params, held_out)
                reporter.scalars(step, {f"held_out/{name}": x for name, x in scores.items()})
                *_, score = scores.values()
                if config.preview_s:
                    key = jax.random.wrap_key_data(jax.device_get(state.key))
                    _preview(experiment, params, key, held_out, reporter, step)
            saved.save(
                state,
                data_position=batches.get_state(),
                config=experiment.to_dict(),
                score=score,
            )

        state = training.fit(
            experiment.model,
            experiment.training,
            state,
            batches,
            on_metrics=on_metrics,
            checkpoint_every=config.checkpoint_every,
            on_checkpoint=on_checkpoint,
            should_stop=should_stop,
        )
        saved.wait()
    if int(state.step) < config.num_steps:
        print(
            f"Stopped and saved at step {int(state.step)} of {config.num_steps}: "
            "the same command goes on from there.",
            file=sys.stderr,
        )
    return state


def _pretrained(experiment: Experiment) -> Any:
    """The parameters of the run that `config.pretrained` names, if it names one.

    Raises:
      InputError: there is none, or it hears another rate.
    """
    workdir = experiment.config.get("pretrained")
    if not workdir:
        return None
    trained = restore.load(workdir)
    if trained.experiment.sample_rate_hz != experiment.sample_rate_hz:
        raise InputError(
            f"The pretrained model in {workdir} hears {trained.experiment.sample_rate_hz} Hz, and "
            f"the config {experiment.sample_rate_hz} Hz: use one of the same rate."
        )
    return trained.params


def held_out_scores(experiment: Experiment, params, corpus: data.Corpus) -> dict[str, float]:
    """What the first held-out recordings score, whole; the last is what checkpoints go by.

    Returns:
      `bits_per_sample` of a model that learns to generate; `phone_error_rate` of a
      recognizer.
    """
    number = experiment.config["held_out_recordings"]
    scores = {}
    if experiment.generates:
        some = _first(experiment, corpus, number)
        scores["bits_per_sample"] = scoring.bits_per_sample(
            scoring.score(experiment.model, params, some)
        )
    if experiment.model.recognizer is not None:
        heard = phone_errors.collect_posteriors(experiment, params, corpus, number)
        counts = phone_errors.errors(experiment, heard)
        scores["phone_error_rate"] = phone_errors.total(counts).rate
    return scores


def _preview(
    experiment: Experiment, params, key, corpus: data.Corpus, reporter: Reporter, step: int
) -> None:
    """Sound and picture of a generated recording, under a held-out one's conditions."""
    real = next(_first(experiment, corpus, 1))
    rate = experiment.sample_rate_hz
    length = min(len(real["samples"]), int(experiment.config["preview_s"] * rate))
    conditions: dict[str, Any] = {}
    if "global" in real:
        conditions["global_condition"] = real["global"][None]
    if "local" in real:
        conditions["local_condition"] = real["local"][None]
    chunks = sampling.generate(
        experiment.model,
        params,
        keys=key[None],
        num_samples=length,
        **conditions,
    )
    codes = np.concatenate(list(chunks), axis=1)[0]
    pcm = experiment.decoder()(codes)
    spoken = experiment.decoder()(
        np.asarray(experiment.model.quantizer.encode(real["samples"][:length]))
    )
    reporter.audio(step, "generated", pcm, rate)
    reporter.audio(step, "real", spoken, rate)
    pair = [("real", spoken), (f"generated, step {step}", pcm)]
    reporter.figure(step, "spectrograms", plots.spectrograms(pair, rate))


def _first(experiment: Experiment, corpus: data.Corpus, number: int) -> Iterator[dict]:
    for _, recording in zip(range(number), experiment.recordings(corpus), strict=False):
        yield recording


@contextlib.contextmanager
def stop_on_signals():
    """Gives a function that says whether Ctrl-C or SIGTERM asked to stop.

    A second signal no longer waits for the step to end. Several hosts must stop
    at one step: there jax's own coordination of a SIGTERM decides.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    asked = []

    def ask(number, frame):
        asked.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda step: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(config=cli.CONFIG.value, workdir=FLAGS.workdir, data_dir=FLAGS.data_dir)
    if _MULTIHOST.value:
        jax.distributed.initialize()
    train(cli.CONFIG.value, workdir=FLAGS.workdir, data_dir=FLAGS.data_dir)


if __name__ == "__main__":
    cli.run(main)
