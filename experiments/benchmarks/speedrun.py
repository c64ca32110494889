"""The speed run: held-out bits per sample after so many minutes of training.

Protocol. The clock starts when the first step has ended, so that neither reading the corpus nor
compiling counts; reading ahead, reporting and copying the parameters do. The schedule fits the
time: a trial of `trial_s` seconds from the same first state measures the step rate, of which
`num_steps` is made, and is thrown away. At each mark the moving average of the parameters is
copied; all recordings of the held-out split are scored after the clock has stopped.
"""

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
from tqdm import tqdm

import data
from experiments.benchmarks import machine
from experiments.common import restore
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.tasks.evaluation import evaluate
from wavenet_jax import InputError, training

MARKS = (2.0, 5.0, 10.0)
"""Minutes after which a record has a score."""

SPARE = 0.98
"""Share of the time that the schedule is made for: the rate of the trial may not hold."""

_now_s = time.monotonic


def speedrun(
    config: ExperimentConfig,
    *,
    data_dir: str | os.PathLike[str],
    minutes: float = MARKS[-1],
    trial_s: float = 20.0,
) -> dict[str, Any]:
    """Trains for some minutes and scores the parameters at the marks.

    Args:
      config: of the experiment. Its `num_steps` is replaced, unless `trial_s` is 0.
      data_dir: folder of prepared corpora.
      minutes: length of the run, and its last mark.
      trial_s: seconds of the trial that measures the step rate; 0 for none.

    Returns:
      `machine`, `dataset`, `split`, `num_steps` of the schedule, `compile_s`, `trial_steps_per_s`
      (None without a trial), and `marks`: at each `minutes`, `step`, `samples` (scored ones, in
      windows' length) and `bits_per_sample`. A run whose schedule ends before a mark has the
      last parameters there.

    Raises:
      InputError, data.DataError: bad input.
    """
    if config.task != "generate":
        raise InputError("--config.task is 'recognize': the speed run scores bits per sample.")
    corpus = data.load(config.dataset, data_dir, "train")
    run = Run.create(config, corpus)
    held_out = run.load(data_dir, config.held_out_split)
    rate = None
    if trial_s:
        trial = _Clock([trial_s], "trial")
        trial.train(run, corpus)
        rate = trial.steps_per_s
        num_steps = max(1, round(SPARE * 60 * minutes * rate))
        fitted = dataclasses.replace(config.training, num_steps=num_steps)
        run = Run.create(dataclasses.replace(config, training=fitted), corpus)
    at = [mark for mark in MARKS if mark < minutes] + [minutes]
    clock = _Clock([60 * mark for mark in at], "speed run")
    clock.train(run, corpus, snapshot_every=max(1, round(rate or 1)))
    marks = []
    for mark, (step, params) in zip(at, clock.snapshots, strict=True):
        figures = evaluate(restore.TrainedModel(run, params, step), held_out)
        marks.append(
            {
                "minutes": mark,
                "step": step,
                "samples": step * config.batch_size * config.segment_samples,
                "bits_per_sample": figures["bits_per_sample"],
            }
        )
    return {
        "machine": machine.description(),
        "dataset": config.dataset,
        "split": config.held_out_split,
        "num_steps": run.training.num_steps,
        "compile_s": round(clock.compile_s, 1),
        "trial_steps_per_s": rate,
        "marks": marks,
    }


class _Clock:
    """One training run that is stopped by time.

    Attributes:
      marks_s: seconds after the first step at which the parameters are copied; the last one
        ends the run.
      snapshots: a step and its parameters for each mark.
      compile_s: seconds of the first step.
    """

    def __init__(self, marks_s: Sequence[float], title: str) -> None:
        self.marks_s, self.snapshots = tuple(marks_s), list[tuple[int, Any]]()
        self.compile_s, self._title = 0.0, title
        self._begun_s: float | None = None
        self._ended_s, self._last_step = 0.0, 1

    @property
    def steps_per_s(self) -> float:
        """After the first step."""
        assert self._begun_s is not None
        return max(1, self._last_step - 1) / (self._ended_s - self._begun_s)

    def train(self, run: Run, corpus: data.Corpus, snapshot_every: int = 2**31) -> None:
        """Trains from the first state to the last mark or step.

        `snapshot_every` is the number of steps between those after which a mark may be found
        to have passed.
        """
        batches, called_s = run.windows(corpus), _now_s()
        bar = tqdm(total=run.training.num_steps, desc=self._title, unit="step", file=sys.stderr)

        def on_metrics(step: int, metrics: dict[str, float]) -> None:
            self._ended_s, self._last_step = _now_s(), step
            if self._begun_s is None:
                self._begun_s = self._ended_s
                self.compile_s = self._begun_s - called_s
            bar.update()
            bar.set_postfix_str(f"{metrics['bits_per_sample']:.3f} bits", refresh=False)

        def should_stop(step: int) -> bool:
            return self._elapsed_s() >= self.marks_s[-1]

        def on_checkpoint(state: training.TrainState) -> None:
            params = None
            ends = int(state.step) == run.training.num_steps
            while len(self.snapshots) < len(self.marks_s) and (
                ends or self._elapsed_s() >= self.marks_s[len(self.snapshots)]
            ):
                params = jax.device_get(state.ema_params) if params is None else params
                self.snapshots.append((int(state.step), params))

        try:
            training.fit(
                run.model,
                run.training,
                training.init_state(run.model, run.training),
                batches,
                on_metrics=on_metrics,
                checkpoint_every=snapshot_every,
                on_checkpoint=on_checkpoint,
                should_stop=should_stop,
            )
        finally:
            batches.close()
            bar.close()

    def _elapsed_s(self) -> float:
        return 0.0 if self._begun_s is None else _now_s() - self._begun_s


def as_table(figures: dict[str, Any], change: str) -> str:
    """The record as a Markdown table with one line, to be put into docs/speedrun.md."""
    marks, made = figures["marks"], figures["machine"]
    heads = ["date", "change", *(f"{mark['minutes']:g} min" for mark in marks), "steps", "machine"]
    cells = [
        made["date"],
        change,
        *(f"{mark['bits_per_sample']:.3f}" for mark in marks),
        f"{marks[-1]['step']:,} of {figures['num_steps']:,}",
        f"{made['cores']} cores, {made['cpu']}",
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), cells))
