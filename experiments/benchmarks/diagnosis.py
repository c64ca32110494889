"""A training before it is run: what it needs, how long it takes, and what will go wrong."""

import hashlib
import math
import os
import pathlib
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

import data
from data.corpus import CACHE_BYTES
from experiments.benchmarks import synthetic, throughput
from experiments.common import data_wait, processes
from experiments.common.model import receptive_field_of
from experiments.common.run import Run
from experiments.configs.schema import ExperimentConfig
from experiments.tasks import corpora, plan
from wavenet_jax import folders, receptive_field, training
from wavenet_jax.parallel import num_cores
from wavenet_jax.training import fusing

STEPS = 3
"""Steps that are timed."""

LOADED_BATCHES = 20
"""Batches that are read for the loader's rate."""

SAMPLED = 20
"""Recordings, spread evenly over a split, from which the size of all is estimated."""

MAX_SCANNED = 1000
"""Recordings of a split that are looked at, spread evenly over it."""

CLIPPED_SHARE, SILENT_SHARE, QUIET_DB = 0.01, 0.5, -30.0
BYTES_PER_ROW = 400
"""Of the history and of TensorBoard's logs together."""
BYTES_PER_PREVIEW = 150_000


class Finding(NamedTuple):
    """Likely trouble.

    Attributes:
      is_fault: whether the training cannot end well; otherwise it may.
      text: a sentence with the remedy.
    """

    is_fault: bool
    text: str


def diagnose(
    config: ExperimentConfig,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    workdir: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Makes a few steps of a training, and reads its corpus.

    Args:
      config: of the experiment.
      data_dir: folder of prepared corpora. Without it the model's labels are invented and its
        sound is noise.
      workdir: where the run is to be; without it the disk is not looked at.

    Returns:
      `parameters`, `receptive_field_ms`, `step_s`, `hours`, `memory_bytes` (on a CPU of the
      process, with the caches of its readers; otherwise of each device), `available_bytes`,
      `disk_bytes`; with a corpus also `recordings`, `hours_of_sound`, `epochs`,
      `loader_steps_per_s`, `loader_stage_s` (seconds of each stage of reading them); and
      `findings`.

    Raises:
      InputError, data.DataError: the config does not fit itself, or the corpus.
    """
    corpus = run = None
    if data_dir is not None:
        corpus = data.load(config.dataset, data_dir, "train")
        if config.train_recordings is not None:
            corpus = corpus.some(config.train_recordings)
        run = Run.create(config, corpus)
        corpus = corpus.filtered(run.filter_taps)
    model = run.model if run is not None else synthetic.model_of(config)
    findings = list(_of_config(config, model))
    state = training.init_state(model, config.training)
    num_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
    figures: dict[str, Any] = {
        **plan.of_model(config, receptive_field_of(model), state),
        "num_steps": config.training.num_steps,
    }
    if not any(finding.is_fault for finding in findings):
        rate, temporary = throughput.training_speed(config, model, config.training, state, STEPS)
        figures["step_s"] = config.batch_size * config.segment_samples / rate
        figures["hours"] = config.training.num_steps * figures["step_s"] / 3600
        figures |= _memory(temporary + num_bytes)
        if run is not None and corpus is not None and jax.default_backend() == "cpu":
            assert data_dir is not None
            figures["memory_bytes"] += _cache_bytes(run, corpus, data_dir)
        findings += _of_memory(figures)
    figures["disk_bytes"] = _disk_bytes(config, num_bytes, figures.get("hours", 0.0))
    if workdir is not None:
        findings += _of_disk(figures["disk_bytes"], workdir)
    if run is not None and corpus is not None:
        assert data_dir is not None
        figures |= plan.of_corpus(config, corpus)
        figures["loader_steps_per_s"], figures["loader_stage_s"] = _loading(run, corpus)
        findings += _of_corpus(config, figures, corpus)
        findings += _of_leakage(config, corpus, data_dir)
    return figures | {"findings": findings}


def described(figures: dict[str, Any]) -> str:
    """The figures of `diagnose` as one page."""
    lines = [plan.as_line(figures)]
    if "step_s" in figures:
        lines.append(
            f"a step takes {figures['step_s']:.2f} s, {figures['num_steps']:,} of them "
            f"{figures['hours']:.1f} hours, without scores, previews and checkpoints"
        )
        lines.append(
            f"memory: {figures['memory_bytes'] / 2**30:.2f} GiB of "
            f"{figures['available_bytes'] / 2**30:.1f} GiB"
        )
    lines.append(f"disk: {figures['disk_bytes'] / 2**20:.0f} MiB")
    if "loader_steps_per_s" in figures:
        lines.append(f"the corpus is read at {figures['loader_steps_per_s']:.1f} batches/s")
    for finding in figures["findings"]:
        lines.append(f"{'FAULT' if finding.is_fault else 'note'}: {finding.text}")
    return "\n".join(lines)


def _of_config(config: ExperimentConfig, model: training.ModelConfig) -> Iterator[Finding]:
    devices, number = jax.device_count(), config.training.num_microbatches
    if config.batch_size % devices:
        yield Finding(
            True,
            f"--config.batch_size is {config.batch_size}, and there are {devices} devices: give a "
            "multiple of them.",
        )
    elif config.batch_size // devices % number:
        yield Finding(
            True,
            f"--config.training.num_microbatches is {number}, and a device has "
            f"{config.batch_size // devices} windows of a batch: give a divisor of them.",
        )
    reason = fusing.unsupported_reason(model, jax.default_backend())
    if config.training.fused != "off" and jax.default_backend() == "cpu" and reason:
        yield Finding(False, f"the fused layers are not used ({reason}): steps take longer.")
    context = receptive_field(training.wavenet_of(model))
    if config.segment_samples < context:
        share = context / (context + config.segment_samples)
        yield Finding(
            False,
            f"a window scores {config.segment_samples} samples after a context of {context}, which "
            f"is {share:.0%} of the arithmetic: a longer --config.segment_samples scores more of "
            "it.",
        )
    if config.num_workers > num_cores():
        yield Finding(
            False,
            f"--config.num_workers is {config.num_workers}, and there are {num_cores()} cores: "
            "more of them than cores slow one another.",
        )


def _disk_bytes(config: ExperimentConfig, state_bytes: int, hours: float) -> int:
    """Of checkpoints, one of them being written and one the best, logs and previews."""
    checkpoints = (config.keep_checkpoints + 2) * state_bytes
    rows = config.training.num_steps / config.log_every
    previews = 1 + 3600 * hours / config.preview_every if config.has_previews else 0
    sound = 2 * config.preview_s * config.sample_rate_hz
    return math.ceil(checkpoints + rows * BYTES_PER_ROW + previews * (sound + BYTES_PER_PREVIEW))


def _memory(step_bytes: int) -> dict[str, int]:
    """What a step needs, and what there is of it."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = peak * (1 if sys.platform == "darwin" else 1024)
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {"memory_bytes": used, "available_bytes": used + free}
    limit = (device.memory_stats() or {}).get("bytes_limit", 0)
    return {"memory_bytes": step_bytes, "available_bytes": limit}


def _cache_bytes(run: Run, corpus: data.Corpus, data_dir: str | os.PathLike[str]) -> int:
    """What the caches of recordings and their local features hold once all of them were read, which
    in the first steps they were not."""
    config = run.config
    held_out = run.load(data_dir, config.held_out_split)
    scored = held_out.lengths[: config.held_out_recordings].sum()
    readers = max(1, config.num_workers) * len(config.augmentation.speeds)
    few = corpus.some(min(len(corpus), SAMPLED))
    for _ in run.recordings(few):
        pass
    per_sample = few.cached_bytes / few.lengths.sum()
    return sum(
        number * min(CACHE_BYTES, math.ceil(per_sample * samples))
        for number, samples in ((readers, corpus.lengths.sum()), (1, scored))
    )


def _of_memory(figures: dict[str, Any]) -> Iterator[Finding]:
    needed, available = figures["memory_bytes"], figures["available_bytes"]
    if available and needed > available:
        yield Finding(
            True,
            f"a step needs {needed / 2**30:.1f} GiB, and there are {available / 2**30:.1f}: "
            f"{processes.LESS_MEMORY}.",
        )


def _of_disk(needed: int, workdir: str | os.PathLike[str]) -> Iterator[Finding]:
    if folders.is_bucket(workdir):
        return
    folder = pathlib.Path(workdir).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        yield Finding(
            True,
            f"the run needs {needed / 2**20:.0f} MiB, and {existing} has {free / 2**20:.0f}: free "
            "some space, or choose another --workdir.",
        )


def _loading(run: Run, corpus: data.Corpus) -> tuple[float, dict[str, float]]:
    """Batches a second that are read while nothing else is done, and the seconds of each stage."""
    batches = run.windows(corpus)
    try:
        next(batches)  # which starts threads and fills caches
        begun_s = time.monotonic()
        for _ in range(LOADED_BATCHES):
            next(batches)
        return LOADED_BATCHES / (time.monotonic() - begun_s), batches.stage_s
    finally:
        batches.close()


def _of_corpus(
    config: ExperimentConfig, figures: dict[str, Any], corpus: data.Corpus
) -> Iterator[Finding]:
    scanned = corpus if len(corpus) <= MAX_SCANNED else corpus.some(MAX_SCANNED)
    found = corpora.split_figures(scanned)
    if found["clipped"] > CLIPPED_SHARE * len(scanned):
        yield Finding(
            False,
            f"{found['clipped']} of {len(scanned)} recordings are clipped: record them again, or "
            "leave them out.",
        )
    if found["silence"] > SILENT_SHARE:
        yield Finding(
            False,
            f"{found['silence']:.0%} of the sound is silence: cut it with --trim_db when the "
            "corpus is prepared.",
        )
    if found["peak_db"][0] < QUIET_DB:
        yield Finding(
            False,
            f"half of the recordings stay below {found['peak_db'][0]:.0f} dB of full scale, where "
            "there are few codes: bring them to a level with --peak_db when the corpus is "
            "prepared.",
        )
    if figures["epochs"] < 1:
        yield Finding(
            False,
            f"the training hears {figures['epochs']:.0%} of the corpus: give more "
            "--config.num_steps, or fewer --config.train_recordings.",
        )
    if "step_s" in figures and figures["loader_steps_per_s"] * figures["step_s"] < 1:
        late = data_wait.cause(
            config,
            figures["loader_steps_per_s"],
            1 / figures["step_s"],
            figures["loader_stage_s"],
        )
        yield Finding(False, f"devices will wait for data: {late}")


def _of_leakage(
    config: ExperimentConfig, corpus: data.Corpus, data_dir: str | os.PathLike[str]
) -> Iterator[Finding]:
    """Recordings of the held-out split that are trained on, by their first seconds."""
    held_out = data.load(config.dataset, data_dir, config.held_out_split)
    trained = {_digest(corpus, i): i for i in tqdm(range(len(corpus)), desc="comparing splits")}
    both = [i for i in range(len(held_out)) if _digest(held_out, i) in trained]
    if both:
        first = both[0]
        yield Finding(
            True,
            f"{len(both)} of the {len(held_out)} recordings of {config.held_out_split} are in the "
            f"train split, such as {held_out.names[first]}, which is "
            f"{corpus.names[trained[_digest(held_out, first)]]} there: remove the copies, and "
            "prepare the corpus again.",
        )


def _digest(corpus: data.Corpus, recording: int) -> bytes:
    length = min(int(corpus.lengths[recording]), 2 * corpus.sample_rate_hz)
    return hashlib.sha256(corpus.recorded(recording, 0, length).tobytes()).digest()
