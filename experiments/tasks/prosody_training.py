"""Training of the networks of durations, pitch and spectra beside a WaveNet."""

import os
import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

import data
from experiments.common import cli, in_use, prosody, restore, signals
from experiments.common.run import Run
from experiments.configs.schema import build
from wavenet_jax import InputError, folders
from wavenet_jax.prosody import checkpoints
from wavenet_jax.prosody.networks import (
    NUM_OUTPUTS,
    Batch,
    ProsodyConfig,
    ProsodyState,
    batch_of,
    begin_with,
    init_state,
    make_step,
)
from wavenet_jax.training import NamedAxis, NonFiniteLossError

LOG_EVERY = 10


def train_prosody(
    run: Run,
    *,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> bool:
    """Trains the networks of durations, pitch and spectra, from their newest checkpoints if any,
    and else from those of the model that the run began with (`config.pretrained`).

    Args:
      run: of the WaveNet in `workdir`.
      workdir: gets `prosody/KIND/STEP` of each.
      data_dir: folder of corpora.

    Returns:
      Whether all are trained; False if a signal ended it before.

    Raises:
      InputError, data.DataError: bad input.
      NonFiniteLossError: a loss is not finite; nothing is saved.
    """
    restore.require_run(workdir)
    prosody.require_contexts(run)
    corpus = run.load(data_dir, "train")
    needed = ("phone_starts", "phone_ends", "f0_hz")
    if missing := [name for name in needed if name not in corpus.recording(0)]:
        raise InputError(
            f"The {corpus.name} corpus has no {missing[0]}, which prosody is trained on: prepare "
            "it with --f0, and with --align=VOICE where it has text alone."
        )
    folder = folders.absolute(workdir) / "prosody"
    cli.require_writable_workdir(folder)
    with in_use.held(folder):
        return all(_train(run, corpus, kind, workdir) for kind in NUM_OUTPUTS)


def _train(run: Run, corpus: data.Corpus, kind: str, workdir: str | os.PathLike[str]) -> bool:
    config = build(
        ProsodyConfig,
        run.config.prosody,
        "prosody",
        kind=kind,
        features=_width(run, corpus, kind),
    )
    saved = checkpoints.restore(workdir, kind)
    if saved is not None:
        prosody.check_fits(run, saved, workdir)
        if saved.config != config:
            raise InputError(
                f"{workdir} holds a {kind} model trained with {saved.config}, and the config says "
                f"{config}: move {workdir}/prosody away to train it again."
            )
    around = data.columns_around(prosody.input_names(run, kind))
    if config.context_dropout and not around:
        raise InputError(
            f"--config.prosody.context_dropout is {config.context_dropout}, and the local "
            f"features {run.config.local_condition.features!r} have no columns of neighbouring "
            "phones: give 0."
        )
    state = _first_state(run, config) if saved is None else saved.state
    step, first = make_step(config), int(state.step)
    with (
        signals.stop_on_signals() as should_stop,
        tqdm(
            total=config.num_steps, initial=first, desc=kind, unit="step", file=sys.stderr
        ) as progress,
    ):
        for i in range(first, config.num_steps):
            state, loss = step(state, _batch(run, corpus, config, around, i))
            progress.update()
            stopping = should_stop(i + 1)
            if i % LOG_EVERY == 0 or i + 1 == config.num_steps or stopping:
                if not np.isfinite(loss):
                    raise NonFiniteLossError(
                        f"At step {i + 1} the loss of the {kind} model is {loss}: lower "
                        "--config.prosody.learning_rate, or look for damaged recordings.",
                        i + 1,
                    )
                progress.set_postfix(loss=f"{float(loss):.3f}")
            if stopping:
                break
    if int(state.step) > first:
        checkpoints.save(workdir, config, state, prosody.description(run))
    is_trained = int(state.step) == config.num_steps
    if not is_trained:
        print(
            f"Stopped and saved at step {int(state.step)} of {config.num_steps} of the {kind} "
            "model: the same command goes on from there.",
            file=sys.stderr,
        )
    return is_trained


def _first_state(run: Run, config: ProsodyConfig) -> ProsodyState:
    """The state before the first step, which takes what it can of the network of the model that
    the run began with, if it began with one."""
    state, workdir = init_state(config), run.config.pretrained
    if workdir is None:
        return state
    other = prosody.network(workdir, config.kind)
    if other is None:
        print(f"{workdir} has no {config.kind} model: it begins at random.", file=sys.stderr)
        return state
    runs = run, restore.load(workdir).run
    features = NamedAxis("local_condition", *(prosody.input_names(of, config.kind) for of in runs))
    voices = NamedAxis("global_condition", *map(prosody.voice_names, runs))
    begun = begin_with(config, state, other.config, other.params, features, voices)
    if begun is None:
        print(
            f"The {config.kind} model of {workdir} has other channels or layers: this one begins "
            "at random.",
            file=sys.stderr,
        )
        return state
    print(
        f"The {config.kind} model begins with that of {workdir}, with {len(features.shared[0])} of "
        f"its {len(features.names)} features.",
        file=sys.stderr,
    )
    return begun


def _width(run: Run, corpus: data.Corpus, kind: str) -> int:
    features, _ = _example(run, corpus, kind, 0)
    return features.shape[1]


def disturbed(
    config: ProsodyConfig,
    features: np.ndarray,
    around: Sequence[np.ndarray],
    random: np.random.Generator,
) -> np.ndarray:
    """A sentence's features `[T, D]` as training takes them: with what `config.context_dropout`
    leaves out of the columns `around`, of which each group is chosen by itself, as zeros, and with
    noise on all."""
    features = features.copy()
    if config.context_dropout:
        for columns in around:
            if random.random() < config.context_dropout:
                features[:, columns] = 0
    if config.input_noise:
        features += config.input_noise * random.standard_normal(features.shape, np.float32)
    return features


def _batch(
    run: Run, corpus: data.Corpus, config: ProsodyConfig, around: Sequence[np.ndarray], step: int
) -> Batch:
    """Sentences of a step, a function of the seed and the step."""
    random = np.random.default_rng((config.seed, step))
    chosen = random.integers(len(corpus), size=config.batch_size)
    pairs = [_example(run, corpus, config.kind, int(i)) for i in chosen]
    features = [disturbed(config, x, around, random) for x, _ in pairs]
    return batch_of(features, [y for _, y in pairs])


def _example(
    run: Run, corpus: data.Corpus, kind: str, recording: int
) -> tuple[np.ndarray, np.ndarray]:
    voice = prosody.voice_of(run, run.global_condition_of(corpus, recording))
    features, targets = prosody.EXAMPLES[kind](run, corpus.recording(recording))
    return prosody.with_voice(features, voice), targets
