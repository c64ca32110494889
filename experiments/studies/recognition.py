"""Recognition: a recognizer's losses, beginnings and amounts of data, compared with baselines.

    python -m experiments.studies.recognition --data_dir=corpora --workdir=runs/recognition_study

Trains variants of a config (experiments/configs/timit.py by default) for `--num_steps` each, one
after the other, and counts the phone errors of each on the test split, with the weights of its
decoder chosen on the validation split. With `--config.pretrained=DIR` all variants begin with the
model of that run, except those whose names give their beginning. The baselines are networks of
scikit-learn on mel cepstra (`recognition_baseline`); they differ in their seeds alone, and their
spread shows how much chance matters. `minutes.png` shows the error rate against the minutes of
speech trained on. A variant that is trained already is only scored again; after an interruption
the same command goes on.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import ml_collections

import data
from experiments.common import cli, plots
from experiments.configs import schema, timit
from experiments.studies import variants
from experiments.studies.recognition_baseline import baseline
from experiments.tasks.evaluation import evaluate_recognition

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.JSON, cli.CONFIG, cli.NUM_STEPS, cli.VARIANTS)

AUGMENTED = "frame loss and augmentation"
CURVE = (AUGMENTED, "half the speech", "a quarter of the speech")
NUM_BASELINES = 3


def _frame_loss(config: ml_collections.ConfigDict) -> None:
    config.training.generation_weight = 0.0


def _both_losses(config: ml_collections.ConfigDict) -> None:
    config.training.generation_weight = config.training.generation_weight or 1.0


def _not_augmented(config: ml_collections.ConfigDict) -> None:
    config.augmentation.update(schema.default().augmentation.to_dict())


def _from_nothing(config: ml_collections.ConfigDict) -> None:
    config.pretrained = None


def _generator(config: ml_collections.ConfigDict) -> None:
    config.task = "generate"


def variants_of(workdir: str | os.PathLike[str], num_recordings: int) -> dict[str, variants.Change]:
    """By name, how a variant changes the config.

    The first four combine losses and augmentation. The others have the frame loss and
    augmentation, and differ in one thing more: the amount of data, or the beginning. `from a
    generator` begins with the stack of `generator`, which begins from nothing and learns to
    generate the same recordings.
    """

    def from_generator(config: ml_collections.ConfigDict) -> None:
        config.pretrained = str(variants.folder_of(workdir, "generator"))

    def share(share: float) -> variants.Change:
        def change(config: ml_collections.ConfigDict) -> None:
            config.train_recordings = max(1, round(share * num_recordings))

        return change

    return {
        "frame loss": variants.all_of(_frame_loss, _not_augmented),
        "both losses": variants.all_of(_both_losses, _not_augmented),
        AUGMENTED: _frame_loss,
        "both losses and augmentation": _both_losses,
        "half the speech": variants.all_of(_frame_loss, share(0.5)),
        "a quarter of the speech": variants.all_of(_frame_loss, share(0.25)),
        "from nothing": variants.all_of(_frame_loss, _from_nothing),
        "generator": variants.all_of(_generator, _not_augmented, _from_nothing),
        "from a generator": variants.all_of(_frame_loss, from_generator),
    }


def study(
    config: ml_collections.ConfigDict,
    names: Sequence[str] = (),
    *,
    num_steps: int,
    workdir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str],
) -> list[dict[str, Any]] | None:
    """Trains and scores the variants and the baselines.

    Args:
      config: of a recognizer, that the variants change.
      names: of the variants; all by default.
      num_steps: of each training.
      workdir: folder of the variants' work directories, and of the figure.
      data_dir: folder of corpora.

    Returns:
      For each baseline, and each variant but the generator, its `name`, the `minutes` of speech
      trained on, and the figures of `phone_errors.figures`; None if a signal stopped a training.

    Raises:
      InputError, data.DataError: invalid input.
    """
    train = data.load(config.dataset, data_dir, "train")
    changes = variants_of(workdir, len(train))
    if config.pretrained is None:  # every variant begins from nothing
        del changes["from nothing"]

    def minutes(number: int | None) -> float:
        used = train.some(number) if number else train
        return float(used.lengths.sum() / train.sample_rate_hz / 60)

    trained = variants.train_variants(
        config, changes, names, num_steps=num_steps, workdir=workdir, data_dir=data_dir
    )
    if trained is None:
        return None
    rows: list[dict[str, Any]] = []
    for name, model in trained.items():
        if model.run.recognizer is None:
            continue
        test, validation = (model.run.load(data_dir, split) for split in ("test", "validation"))
        figures = evaluate_recognition(model, test, tuned_on=validation)
        number = model.run.config.train_recordings
        rows.append({"name": name, "minutes": minutes(number)} | figures)
    experiment = schema.from_config_dict(config)
    baselines = [
        {"name": f"baseline {seed}", "minutes": minutes(None)}
        | baseline(experiment, data_dir, seed)
        for seed in range(NUM_BASELINES)
    ]
    points = [
        (row["minutes"], _best(row)["phone_error_rate"]) for row in rows if row["name"] in CURVE
    ]
    if points:
        figure = plots.loss_curve(
            {"phone error rate": points},
            {"the best baseline": min(_best(row)["phone_error_rate"] for row in baselines)},
            x_label="minutes of speech trained on",
            y_label="phone error rate, test",
        )
        plots.save(figure, cli.require_writable(workdir) / "minutes.png", dpi=100)
    return [*baselines, *rows]


def _best(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of the decoder with the language model, which is the first."""
    found: dict[str, Any] = next(iter(row["decoders"].values()))
    return found


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures of `study` as a Markdown table."""
    lines = ["| | speech | phone errors | 95% | S, D, I | greedy |", "|---|---|---|---|---|---|"]
    for row in rows:
        best, greedy = _best(row), row["decoders"]["greedy"]
        low, high = best["interval"]
        lines.append(
            f"| {row['name']} | {row['minutes']:.1f} min | {best['phone_error_rate']:.1%} | "
            f"{low:.1%} to {high:.1%} | {best['substitutions']}, {best['deletions']}, "
            f"{best['insertions']} | {greedy['phone_error_rate']:.1%} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    rows = study(
        cli.CONFIG.value or timit.get_config(),
        cli.VARIANTS.value or (),
        num_steps=cli.NUM_STEPS.value,
        workdir=cli.WORKDIR.value,
        data_dir=cli.DATA_DIR.value,
    )
    if rows is None:
        sys.exit(variants.STOPPED)
    print(as_table(rows))
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR))
