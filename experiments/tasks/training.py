"""Training a run in its work directory, with held-out scores and previews on the way."""

import contextlib
import itertools
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

import data
from experiments.common import buckets, cli, in_use, processes, restore, signals
from experiments.common.data_wait import DataWait
from experiments.common.previews import Previews
from experiments.common.reporting import TIMES, Reporter
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.metrics import phone_errors
from experiments.tasks import plan, teaching
from wavenet_jax import InputError, folders, scoring, training
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.student import distillation

DIVERGED = "diverged"
"""Folder of a work directory with the batches in which the training diverged."""

DATA_WAIT = f"{TIMES}data_wait"
"""Scalar of the history: the share of the time that devices waited for data."""

_ABOUT_STEPS = ("gradient_norm", "learning_rate")
"""Metrics that are no terms of the loss."""

_REMEMBERED = 4
"""Batches. The metrics of a step are read after the next one was begun."""


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
    teacher: restore.TrainedModel | None = None,
) -> TrainingResult:
    """Trains to the config's last step, from the last checkpoint if there is one.

    Where the loss is not finite, or spikes, the batch is saved, and the training goes back to the
    newest checkpoint as often as `config.max_returns` says.

    Args:
      config: of the experiment (`schema.from_config_dict`).
      workdir: gets `checkpoints/STEP/`, `history.jsonl`, `tensorboard/`, `previews/` and
        `diverged/`; on a disk that all processes share, or in a bucket.
      data_dir: folder of prepared corpora.
      teacher: of a student (`tasks.distillation`).

    Raises:
      InputError, data.DataError: bad input, or a step that does not fit into the devices' memory;
        earlier checkpoints stay.
      training.DivergenceError: the loss is not finite, or spikes; earlier checkpoints stay.
    """
    if config.task == "distill" and teacher is None:
        raise InputError(
            "--config.task is 'distill': use experiments.distill, which takes the --teacher."
        )
    next_batch: int | None = None
    for returns in itertools.count():
        try:
            return _train(
                config,
                workdir=workdir,
                data_dir=data_dir,
                teacher=teacher,
                next_batch=next_batch,
            )
        except _DivergedError as diverged:
            where = (
                f"its batch is {workdir}/{diverged.file}"
                if diverged.file
                else "its batch was not saved"
            )
            if returns == config.max_returns:
                raise type(diverged.error)(
                    f"{str(diverged.error).rstrip('.')}; {where}.", diverged.error.step
                ) from diverged.error
            if processes.is_first():
                print(
                    f"{str(diverged.error).partition(': ')[0]}; {where}: the training goes back to "
                    f"its newest checkpoint, and on with the data after that batch (return "
                    f"{returns + 1} of {config.max_returns}).",
                    file=sys.stderr,
                )
            next_batch = diverged.next_batch
    raise AssertionError("unreachable")


def _train(
    config: ExperimentConfig,
    *,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
    teacher: restore.TrainedModel | None,
    next_batch: int | None,
) -> TrainingResult:
    """`train`, until it ends or diverges.

    Args:
      config, workdir, data_dir, teacher: of `train`.
      next_batch: of the data to go on with; None for that of the checkpoint.

    Raises:
      _DivergedError: it diverges.
      InputError, data.DataError: bad input.
    """
    if folders.is_bucket(workdir):  # before it is read
        cli.require_writable_workdir(workdir)
    restore.require_run(workdir)
    corpus = data.load(config.dataset, data_dir, "train")
    if config.train_recordings is not None:
        corpus = corpus.some(config.train_recordings)
    run = Run.create(config, corpus)
    if teacher is not None:
        run = teaching.taught(run, teacher)
    corpus = corpus.filtered(run.filter_taps)
    held_out = held_out_corpus(run, data_dir)
    batches = run.windows(corpus, shard_index=jax.process_index(), shard_count=jax.process_count())
    num_steps = config.training.num_steps
    cli.require_writable_workdir(workdir)
    with contextlib.ExitStack() as stack:
        stack.callback(batches.close)
        if processes.is_first():
            stack.enter_context(in_use.held(workdir))
        folder, copy = stack.enter_context(buckets.on_disk(workdir, active=processes.is_first()))
        saved = stack.enter_context(
            Checkpoints(workdir, keep=config.keep_checkpoints, best_score=config.scores[0])
        )
        if saved.latest_step is None:
            state = _first_state(run)
        else:
            checkpoint = saved.restore("last")
            stored = Run.from_description(checkpoint.description, checkpoint.model_config)
            run.check_continues(stored)
            state = checkpoint.state
            batches.set_state(checkpoint.data_position)
        if next_batch is not None:
            batches.set_state(batches.get_state() | {"next_batch": next_batch})
        first_step = int(state.step)
        recent = _Recent(batches, first_step)
        if first_step >= num_steps:
            print(
                f"{workdir} is trained to step {first_step} already: raise "
                "--config.num_steps to go on.",
                file=sys.stderr,
            )
            return TrainingResult(state, stopped=False)
        if processes.is_first():
            planned = plan.of_model(config, run.receptive_field, state) | plan.of_corpus(
                config, corpus
            )
            print(plan.as_line(planned), file=sys.stderr)
        reporter = stack.enter_context(
            Reporter(
                folder,
                num_steps=num_steps,
                samples_per_step=config.batch_size * config.segment_samples,
                resume_step=first_step,
                active=processes.is_first(),
            )
        )
        previews = Previews(
            folder,
            title=f"Previews of {folders.absolute(workdir).name}",
            every_s=config.preview_every if config.has_previews else 0.0,
            num_steps=num_steps,
            resume_step=first_step,
            active=processes.is_first(),
        )
        data_wait = DataWait(config, batches)
        should_stop = stack.enter_context(signals.stop_on_signals())

        def on_metrics(step: int, metrics: dict[str, float]) -> None:
            shown = {
                name.replace("_per_", "/"): value
                for name, value in metrics.items()
                if name not in _ABOUT_STEPS
            }
            reporter.progress(step, shown)
            if step % config.log_every == 0 or step == num_steps:
                named = {f"train/{name}": value for name, value in metrics.items()}
                reporter.scalars(step, named | {DATA_WAIT: data_wait.share()})

        def on_times(step_s: float, data_wait_s: float) -> None:
            line = data_wait.add(step_s, data_wait_s)
            if line and processes.is_first():
                tqdm.write(line, file=sys.stderr)

        def on_checkpoint(state: training.TrainState) -> None:
            step, scores = int(state.step), None
            if step % config.checkpoint_every == 0 or step == num_steps:
                trained = restore.TrainedModel(run, jax.device_get(state.ema_params), step)
                scores = held_out_scores(trained, held_out, teacher)
                reporter.scalars(step, {f"held_out/{name}": x for name, x in scores.items()})
            saved.save(
                state,
                data_position=batches.get_state(),
                description=run.to_dict(),
                scores=scores,
            )
            copy()

        def on_preview(state: training.TrainState) -> None:
            step = int(state.step)
            trained = restore.TrainedModel(run, jax.device_get(state.ema_params), step)
            previews.write(step, *_preview(trained, held_out), run.audio.sample_rate_hz)
            copy()

        with (
            processes.ending_together(lambda: _kept(saved)),
            processes.naming_lack_of_memory(),
            recent.kept_in(folder),
        ):
            state = training.fit(
                run.model,
                run.training,
                state,
                recent,
                on_metrics=on_metrics,
                checkpoint_every=config.checkpoint_every,
                on_checkpoint=on_checkpoint,
                should_stop=should_stop,
                is_preview_due=previews.is_due,
                on_preview=on_preview,
                on_times=on_times,
                max_spike=config.max_spike,
                teacher=teacher.params if teacher else None,
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


class _DivergedError(Exception):
    """A training that diverged.

    Attributes:
      error: what diverged.
      next_batch: number of the batch after that which it happened in.
      file: of the work directory, with the batch; None where it could not be written.
    """

    def __init__(self, error: training.DivergenceError, next_batch: int, file: str | None) -> None:
        super().__init__(str(error))
        self.error, self.next_batch, self.file = error, next_batch, file


class _Recent:
    """The batches of a training, of which the newest are remembered.

    Args:
      batches: of the training.
      first_step: that was made before the first of them.
    """

    def __init__(self, batches: data.WindowIterator, first_step: int) -> None:
        self._batches, self._step = batches, first_step
        self._newest: dict[int, tuple[training.Batch, int]] = {}

    def __iter__(self) -> Iterator[training.Batch]:
        return self

    def __next__(self) -> training.Batch:
        batch = next(self._batches)
        self._step += 1
        self._newest[self._step] = (batch, self._batches.get_state()["next_batch"])
        self._newest.pop(self._step - _REMEMBERED, None)
        return batch

    @contextlib.contextmanager
    def kept_in(self, folder: pathlib.Path) -> Iterator[None]:
        """Within the context, a batch in which the training diverges is written to a folder.

        Raises:
          _DivergedError: the training does.
        """
        try:
            yield
        except training.DivergenceError as error:
            batch, next_batch = self._newest[error.step]
            process = f"_of_process_{jax.process_index()}" if jax.process_count() > 1 else ""
            file: str | None = f"{DIVERGED}/step_{error.step}{process}.npz"
            try:
                (folder / DIVERGED).mkdir(exist_ok=True)
                with (folder / f"{file}").open("wb") as opened:
                    np.savez_compressed(opened, **batch)
            except OSError:  # a full disk, which is not what this is about
                file = None
            raise _DivergedError(error, next_batch, file) from error


def _kept(saved: Checkpoints) -> str:
    """What of the work is kept, as a clause."""
    if saved.latest_step is None:
        return f"there is no checkpoint yet in {saved.directory}"
    return f"the newest checkpoint is {saved.directory / str(saved.latest_step)}"


def _first_state(run: Run) -> training.TrainState:
    """The state before the first step, which takes what it can of the run that
    `config.pretrained` names, if it names one.

    Raises:
      InputError: there is no such run, or its model has nothing in common with this one.
    """
    workdir = run.config.pretrained
    if workdir is None:
        return training.init_state(run.model, run.training)
    trained = restore.load(workdir)
    axes = run.named_axes(trained.run)
    if processes.is_first():
        adopted = training.adopt(run.model, trained.params, axes)
        print(f"{workdir}, step {trained.step}: {adopted}", file=sys.stderr)
        for name, there, here in _changed_times(trained.run, run):
            print(f"The {name} is {here} here, and was {there} there.", file=sys.stderr)
    return training.init_state(run.model, run.training, pretrained=trained.params, named_axes=axes)


def _changed_times(pretrained: Run, run: Run) -> Iterator[tuple[str, str, str]]:
    """Name, value there and value here of the rate and the hop, where a run has others than the
    pretrained model that it begins with. Parameters fit at any, and are to be learned anew."""
    there, here = pretrained.audio.sample_rate_hz, run.audio.sample_rate_hz
    if there != here:
        yield "sample rate", f"{there} Hz", f"{here} Hz"
    before, now = pretrained.frame_samples, run.frame_samples
    if before != now and min(before, now) > 1:
        yield "hop", f"{before} samples", f"{now} samples"


def held_out_corpus(run: Run, data_dir: str | os.PathLike[str]) -> data.Corpus:
    """The recordings that are scored while a run trains."""
    split = run.load(data_dir, run.config.held_out_split)
    return split.some(min(run.config.held_out_recordings, len(split)))


def held_out_scores(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    teacher: restore.TrainedModel | None = None,
) -> dict[str, float]:
    """Scores of a corpus's recordings, whole.

    Args:
      trained: the model.
      corpus: of `held_out_corpus`.
      teacher: of a student.

    Returns:
      Each of the config's `scores`, in the order of `scores`.
    """
    run, scores = trained.run, {}
    if "phone_error_rate" in run.config.scores:
        found = phone_errors.collect_posteriors(run, trained.params, corpus)
        scores["phone_error_rate"] = phone_errors.total(phone_errors.errors(run, found)).rate
    if "bits_per_sample" in run.config.scores:
        scored = scoring.score(run.wavenet, trained.params, trained.recordings(corpus))
        scores["bits_per_sample"] = scoring.bits_per_sample(scored)
    if run.student and teacher:
        scores[distillation.DIVERGENCE] = distillation.divergence_of_recordings(
            run.student, trained.params, teacher.params, run.recordings(corpus)
        )
    return scores


def _preview(
    trained: restore.TrainedModel, corpus: data.Corpus
) -> tuple[np.ndarray, np.ndarray | None]:
    """What the model generates with the conditions of a held-out recording, int16 `[N]`; and that
    recording, as the model's codes have it, if there are conditions."""
    run = trained.run
    length = max(1, round(run.config.preview_s * run.audio.sample_rate_hz))
    real = next(trained.recordings(corpus))
    conditions = {
        f"{name}_condition": real[name][None] for name in ("global", "local") if name in real
    }
    recorded = None
    if conditions:
        quantizer, length = run.wavenet.quantizer, min(len(real["samples"]), length)
        quantized = quantizer.decode_int16(quantizer.encode(real["samples"][:length]))
        inverse = run.audio.inverse_filter(frames=real.get("local"))
        recorded = inverse(np.asarray(quantized))
    chunks = trained.generator.generate_batch([length], seed=run.training.seed, **conditions)
    return np.concatenate([pcm for (pcm,) in chunks]), recorded
