"""The report of a listening test: estimates, comparisons, who was dropped; as files."""

import csv
import io
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.common import cli, files, plots
from experiments.listening import answers, description, screening, statistics
from experiments.listening.description import (
    COMPARISON,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
)
from experiments.listening.screening import Scores
from experiments.listening.statistics import Estimate
from wavenet_jax import InputError

TABLE, FIGURE, CSV = "report.md", "report.png", "report.csv"
SCALES = {
    MOS: "mean opinion score (1 to 5)",
    PREFERENCE: "share of the answers",
    COMPARISON: "how much better the first is (-3 to 3)",
    MUSHRA: "MUSHRA score (0 to 100)",
}


class Comparison(NamedTuple):
    """Two systems.

    Attributes:
      first, second: their names.
      difference: the first's mean less the second's; of preferences, the difference of shares.
      p: of the test; of preferences the sign test.
      corrected_p: for the number of comparisons (Holm).
      more_listeners: that the difference would need, None if no number would do.
      shares: of answers for the first, for neither, for the second (preference).
    """

    first: str
    second: str
    difference: Estimate
    p: float
    corrected_p: float
    more_listeners: int | None
    shares: tuple[Estimate, ...] = ()


class Report(NamedTuple):
    """What a listening test showed.

    Attributes:
      kind: of the test.
      systems: means by the name of the system (mos, mushra).
      comparisons: of all pairs, MUSHRA's anchors left out.
      listeners: whose answers were used.
      dropped: reasons by the name of the listener.
      alpha: Krippendorff's, of the listeners' scores, as intervals.
      repeat_error: `screening.repeat_error`.
      num_texts: with scores.
    """

    kind: str
    systems: Mapping[str, Estimate]
    comparisons: tuple[Comparison, ...]
    listeners: tuple[str, ...]
    dropped: Mapping[str, str]
    alpha: float
    repeat_error: float
    num_texts: int

    @property
    def is_made_up(self) -> bool:
        """Whether the listeners do not exist."""
        return all(map(_is_made_up, self.listeners))


def of_answers(folder: str | os.PathLike[str], test_folder: str | os.PathLike[str]) -> Report:
    """The report of a folder of answers to a test that `preparing` wrote.

    Raises:
      InputError: the test or no file of answers can be used, made-up answers are among them, or
        too few listeners are left.
    """
    test = description.read(pathlib.Path(test_folder))
    listeners, refused = answers.read_folder(pathlib.Path(folder), test)
    if len({_is_made_up(listener.name) for listener in listeners}) > 1:
        raise InputError(
            f"{folder} has answers of people and made-up ones, {answers.MADE_UP}*: take those away."
        )
    dropped = refused | screening.drop(test, listeners)
    kept = [listener for listener in listeners if listener.name not in dropped]
    return analyse(
        screening.scores_of(test, kept),
        dropped,
        repeat_error=screening.repeat_error(test, kept),
        seed=test.seed,
    )


def of_webmushra(path: str | os.PathLike[str]) -> Report:
    """The report of webMUSHRA's `mushra.csv`.

    Raises:
      InputError: it cannot be used, or too few listeners are left.
    """
    scores = screening.scores_of_webmushra(answers.read_webmushra(pathlib.Path(path)))
    dropped = screening.drop_by_reference(scores)
    return analyse(scores.of([name for name in scores.listeners if name not in dropped]), dropped)


def analyse(
    scores: Scores,
    dropped: Mapping[str, str],
    *,
    repeat_error: float = math.nan,
    seed: int = 0,
) -> Report:
    """The report of scores.

    Args:
      scores: of the listeners who are kept.
      dropped: reasons by the name of the listener.
      repeat_error: to report.
      seed: of the bootstrap.

    Raises:
      InputError: there are fewer than two listeners, or two texts with scores, or a system or pair
        has none.
    """
    has_scores = np.isfinite(scores.values)
    values = scores.values[:, has_scores.any(axis=(0, 2))]
    if min(values.shape[:2]) < 2:
        raise InputError(
            f"{len(scores.listeners)} listener(s) and {values.shape[1]} text(s) are left, "
            f"{len(dropped)} listener(s) dropped, and an interval needs two of each: collect more "
            "answers."
        )
    for column, has_score in zip(scores.columns, has_scores.any(axis=(0, 1)), strict=True):
        if not has_score:
            names = " and ".join(column)
            raise InputError(f"Nobody who is left has scored {names}: collect more answers.")
    if scores.kind in (MOS, MUSHRA):
        systems, comparisons = _of_systems(scores, values, seed)
    else:
        systems, comparisons = {}, _of_pairs(scores, values, seed)
    corrected = statistics.holm([each.p for each in comparisons])
    return Report(
        kind=scores.kind,
        systems=systems,
        comparisons=tuple(
            each._replace(corrected_p=p) for each, p in zip(comparisons, corrected, strict=True)
        ),
        listeners=scores.listeners,
        dropped=dropped,
        alpha=statistics.krippendorff_alpha(values.reshape(len(values), -1)),
        repeat_error=repeat_error,
        num_texts=values.shape[1],
    )


def _of_systems(
    scores: Scores, values: np.ndarray, seed: int
) -> tuple[dict[str, Estimate], list[Comparison]]:
    places = {system: i for i, system in enumerate(scores.systems)}
    one = np.eye(len(places))
    pairs = description.pairs_of(
        [system for system in places if system not in (LOW_ANCHOR, MID_ANCHOR)]
    )
    weights = [*one, *(one[places[a]] - one[places[b]] for a, b in pairs)]
    found = statistics.estimates(values, np.array(weights), seed=seed)
    comparisons = [
        _comparison(first, second, estimate, estimate.p, len(values))
        for (first, second), estimate in zip(pairs, found[len(places) :], strict=True)
    ]
    return dict(zip(places, found, strict=False)), comparisons


def _of_pairs(scores: Scores, values: np.ndarray, seed: int) -> list[Comparison]:
    comparisons = []
    for i, (first, second) in enumerate(scores.columns):
        net = values[:, :, i]
        if scores.kind == COMPARISON:
            (estimate,) = statistics.estimates(net[:, :, None], np.ones((1, 1)), seed=seed)
            comparisons += [_comparison(first, second, estimate, estimate.p, len(values))]
            continue
        chosen = np.stack([net == 1, net == 0, net == -1], axis=2).astype(float)
        chosen[np.isnan(net)] = np.nan
        weights = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, -1]])
        *shares, estimate = statistics.estimates(chosen, weights, seed=seed)
        p = statistics.sign_test(net)
        comparisons += [_comparison(first, second, estimate, p, len(values), tuple(shares))]
    return comparisons


def _comparison(
    first: str,
    second: str,
    estimate: Estimate,
    p: float,
    num_listeners: int,
    shares: tuple[Estimate, ...] = (),
) -> Comparison:
    more = statistics.more_listeners(estimate, num_listeners)
    return Comparison(first, second, estimate, p, p, more, shares)


def markdown(report: Report) -> str:
    """The report for people, as Markdown."""
    lines = [
        f"# Listening test: {SCALES[report.kind]}",
        "",
        *(["**Made-up answers: nobody has listened.**", ""] if report.is_made_up else []),
        f"{len(report.listeners)} listeners, {report.num_texts} texts. Intervals are of 95%, over "
        "listeners and texts; p is corrected for the number of comparisons (Holm).",
        "",
    ]
    digits = 3 if report.kind == PREFERENCE else 1 if report.kind == MUSHRA else 2
    if report.systems:
        lines += ["| system | mean | 95% interval |", "|---|---|---|"]
        lines += [
            f"| {_cell(name)} | {each.value:.{digits}f} | {_interval(each, digits)} |"
            for name, each in report.systems.items()
        ]
        lines += [""]
    head = ["first", "second"]
    if report.kind == PREFERENCE:
        head += ["prefer the first", "no preference", "prefer the second"]
    head += ["difference", "95% interval", "p", "found", "more listeners to find it"]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for each in report.comparisons:
        cells = [_cell(each.first), _cell(each.second)]
        cells += [f"{x.value:.1%} ({x.low:.1%} to {x.high:.1%})" for x in each.shares]
        cells += [f"{each.difference.value:+.{digits}f}", _interval(each.difference, digits)]
        more = "more texts instead" if each.more_listeners is None else str(each.more_listeners)
        p = "< 0.0001" if each.corrected_p < 1e-4 else f"{each.corrected_p:.4f}"
        cells += [p, _verdict(each), more]
        lines += ["| " + " | ".join(cells) + " |"]
    lines += ["", f"Agreement of listeners (Krippendorff's alpha, interval): {report.alpha:.2f}."]
    if math.isfinite(report.repeat_error):
        lines += [
            f"Repeated trials: {report.repeat_error:.0%} answered otherwise."
            if report.kind == PREFERENCE
            else f"Repeated trials: answers {report.repeat_error:.2f} apart, in the mean."
        ]
    lines += ["", f"## Dropped: {len(report.dropped)}", ""]
    lines += [
        f"- {_cell(name)}: {_cell(reason)}" for name, reason in sorted(report.dropped.items())
    ]
    return "\n".join(lines).rstrip() + "\n"


def table(report: Report) -> str:
    """The report for programs, as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["what", "first", "second", "value", "low", "high", "p", "corrected_p", "more_listeners"]
    )
    for row in _rows(report):
        writer.writerow([f"{x:.6g}" if isinstance(x, float) else x for x in row])
    return out.getvalue()


def _rows(report: Report) -> Iterator[tuple[str | float | int, ...]]:
    for name, each in report.systems.items():
        yield "mean", name, "", each.value, each.low, each.high, "", "", ""
    for pair in report.comparisons:
        names = (pair.first, pair.second)
        for what, share in zip(("first", "neither", "second"), pair.shares, strict=False):
            yield f"share_{what}", *names, share.value, share.low, share.high, "", "", ""
        more = "" if pair.more_listeners is None else pair.more_listeners
        found = pair.difference
        yield (
            *("difference", *names, found.value, found.low, found.high),
            *(pair.p, pair.corrected_p, more),
        )


def figure(report: Report) -> Figure:
    """The means of systems, or the pairs, with their intervals."""
    if report.systems:
        rows = [(name, each) for name, each in report.systems.items()]
    else:
        rows = [(f"{each.first} - {each.second}", each.difference) for each in report.comparisons]
    drawn = plots.new_figure(6.4, 1.2 + 0.4 * len(rows))
    axes = drawn.add_subplot()
    plots.tidy(axes)
    y = np.arange(len(rows))[::-1]
    colours = plots.SERIES_COLOURS
    if report.kind == PREFERENCE:
        left = np.zeros(len(rows))
        labels = ("the first", "no preference", "the second")
        for i, (label, colour) in enumerate(
            zip(labels, (colours[0], plots.PALE, colours[1]), strict=True)
        ):
            widths = np.array([each.shares[i].value for each in report.comparisons])
            axes.barh(y, widths, left=left, color=colour, label=label, height=0.6)
            left += widths
        axes.set_xlim(0, 1)
        axes.legend(
            frameon=False,
            labelcolor=plots.INK,
            ncols=3,
            loc="lower center",
            bbox_to_anchor=(0.5, 1),
        )
    else:
        values = np.array([each.value for _, each in rows])
        # An interval that the bootstrap skews may leave its value out.
        errors = [
            [max(0.0, each.value - each.low) for _, each in rows],
            [max(0.0, each.high - each.value) for _, each in rows],
        ]
        axes.errorbar(values, y, xerr=errors, fmt="o", color=colours[0], capsize=3)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        if not report.systems:
            axes.axvline(0, color=plots.INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks(y, [name for name, _ in rows])
    who = "made-up listeners" if report.is_made_up else "listeners"
    axes.set_xlabel(f"{SCALES[report.kind]}, {len(report.listeners)} {who}", color=plots.INK)
    return drawn


def write(report: Report, out: str | os.PathLike[str]) -> pathlib.Path:
    """Writes the report's three files into a folder; returns the folder.

    Raises:
      InputError: nothing can be written there.
    """
    folder = cli.require_writable(out)
    plots.save(figure(report), folder / FIGURE)
    files.write_whole(folder / CSV, table(report).encode())
    files.write_whole(folder / TABLE, markdown(report).encode())
    return folder


def _is_made_up(listener: str) -> bool:
    return listener.startswith(answers.MADE_UP)


def _interval(estimate: Estimate, digits: int) -> str:
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"


def _verdict(pair: Comparison) -> str:
    if pair.corrected_p >= screening.LEVEL:
        return "no difference"
    return f"{_cell(pair.first if pair.difference.value > 0 else pair.second)} better"


def _cell(name: str) -> str:
    """A name from elsewhere, within a table of Markdown."""
    plain = "".join(x if x.isprintable() else "?" for x in name)
    return "".join(f"\\{x}" if x in "\\|`*_[]<>" else x for x in plain)
