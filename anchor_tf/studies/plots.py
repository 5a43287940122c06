"""The plots of a study: all methods in one picture, means over the runs with their spread."""

import itertools
import math
import pathlib
import re
import statistics
import textwrap
from collections.abc import Mapping, Sequence

from anchor_tf.reports.drawing import apart, plain, save
from anchor_tf.reports.rendering import NORMS, format_epsilon
from anchor_tf.studies.entries import Entry
from anchor_tf.studies.results import Result

Results = Mapping[str, Sequence[Result]]


def draw(folder: pathlib.Path, results: Results, entries: Sequence[Entry]) -> list[pathlib.Path]:
    """Draws whatever the finished runs allow for.

    Args:
        folder: where the PNG files go; created as needed.
        results: method -> its finished runs.
        entries: all that is compared.

    Returns:
        The files written: accuracy_against_epsilon.png, training.png and, where the entries
        differ in one number alone, accuracy_against_ARGUMENT.png.
    """
    results = {method: found for method, found in results.items() if found}
    drawn = []
    if any("curve" in result.report for found in results.values() for result in found):
        drawn.append(_against_epsilon(folder / "accuracy_against_epsilon.png", results))
    if any(_validated(result) for found in results.values() for result in found):
        drawn.append(_training(folder / "training.png", results))
    argument = varied_argument(entries)
    if argument is not None and results:
        places = {e.text: e.varied[1][argument] for e in entries if e.text in results}
        path = folder / f"accuracy_against_{argument}.png"
        drawn.append(_against_argument(path, results, argument, places))
    return drawn


def varied_argument(entries: Sequence[Entry]) -> str | None:
    """The one number in which entries of one method differ, given in each; else None."""
    names, arguments = zip(*(entry.varied for entry in entries), strict=True)
    if len(entries) < 2 or len(set(names)) > 1 or len({tuple(sorted(a)) for a in arguments}) > 1:
        return None
    varied = [key for key in arguments[0] if len({repr(a[key]) for a in arguments}) > 1]
    if len(varied) != 1:
        return None
    values = [each[varied[0]] for each in arguments]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return varied[0] if numeric else None


def _against_epsilon(path: pathlib.Path, results: Results) -> pathlib.Path:
    figure, (axes,) = _figure(1)
    norms = set()
    for method, found in results.items():
        curves = [
            dict(map(tuple, r.report["curve"]["points"])) for r in found if "curve" in r.report
        ]
        norms |= {result.report["norm"] for result in found}
        if curves:
            radii = sorted(set.intersection(*map(set, curves)))
            _band(axes, method, radii, [[curve[radius] for curve in curves] for radius in radii])
    norm = norms.pop() if len(norms) == 1 else "linf"
    ticks = apart(sorted({x for line in axes.get_lines() for x in line.get_xdata()}))
    axes.set_xticks(ticks, [format_epsilon(norm, tick) for tick in ticks])
    _dress(axes, f"{NORMS[norm]} radius epsilon, pixels in [0, 1]")
    axes.set_title("Accuracy under attack")
    return _save(figure, path)


def _training(path: pathlib.Path, results: Results) -> pathlib.Path:
    """Validation accuracies against the seconds of training so far, clean and under attack."""
    figure, panels = _figure(2)
    measures = (("validation_clean", "Clean"), ("validation_robust", "Under PGD-10"))
    for axes, (measure, title) in zip(panels, measures, strict=True):
        for method, found in results.items():
            runs = [points for points in map(_validated, found) if points]
            epochs = [key for key in runs[0] if all(key in run for run in runs)] if runs else []
            if epochs:
                seconds = [statistics.fmean(run[key]["seconds"] for run in runs) for key in epochs]
                values = [[run[key][measure] for run in runs] for key in epochs]
                _band(axes, method, seconds, values)
        _dress(axes, "seconds of training")
        axes.set_title(f"{title}, validation split")
    return _save(figure, path)


def _against_argument(
    path: pathlib.Path, results: Results, argument: str, places: Mapping[str, float]
) -> pathlib.Path:
    figure, (axes,) = _figure(1)
    ordered = sorted(places, key=places.__getitem__)
    names = dict.fromkeys(name for method in ordered for name in results[method][0].accuracies)
    for name in names:
        points = []
        for method in ordered:
            values = [r.accuracies[name] for r in results[method] if name in r.accuracies]
            if values:
                points.append((places[method], *_mean_and_deviation(values)))
        positions, means, deviations = zip(*points, strict=True)
        axes.errorbar(positions, means, deviations, marker="o", capsize=3, label=plain(name))
    _dress(axes, argument)
    axes.set_title(f"{re.split(r'[( ]', ordered[0])[0]}: accuracy against {argument}")
    return _save(figure, path)


def _validated(result: Result) -> dict[tuple[str, str], dict[str, float]]:
    """(phase, epoch) -> seconds since the start and both accuracies, of the validated epochs."""
    rows = [row for row in result.history() if row["phase"] in ("train", "finetune")]
    clock = itertools.accumulate(float(row["seconds"]) for row in rows)
    return {
        (row["phase"], row["epoch"]): {
            "seconds": seconds,
            "validation_clean": float(row["validation_clean"]),
            "validation_robust": float(row["validation_robust"]),
        }
        for row, seconds in zip(rows, clock, strict=True)
        if row.get("validation_clean") and row.get("validation_robust")
    }


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """In per cent; the deviation of a single run is drawn as none."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return 100 * statistics.fmean(values), 100 * deviation


def _band(axes, label: str, positions: Sequence[float], values: Sequence[Sequence[float]]) -> None:
    """A line through the means, one standard deviation to either side shaded."""
    spreads = [_mean_and_deviation(each) for each in values]
    line = axes.plot(
        positions, [mean for mean, _ in spreads], marker="o", markersize=4, label=plain(label)
    )[0]
    axes.fill_between(
        positions,
        [mean - deviation for mean, deviation in spreads],
        [mean + deviation for mean, deviation in spreads],
        color=line.get_color(),
        alpha=0.2,
        linewidth=0,
    )


def _figure(panels: int):
    # Imported here: the figures alone need it. No pyplot: its state and display are not wanted.
    from matplotlib import cycler, rcParams
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * panels, 4.2), layout="constrained")
    row = figure.subplots(1, panels, squeeze=False)[0]
    for axes in row:  # as many methods as there are colours, and as many again
        axes.set_prop_cycle(cycler(linestyle=["-", "--"]) * rcParams["axes.prop_cycle"])
    return figure, row


def _dress(axes, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)


def _legend(figure) -> None:
    """Inside each panel where it is small; else one below them all, for it would hide the lines."""
    entries = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    short = all(len(label) <= 36 for label in entries)
    if len(entries) <= 5 and short:
        for axes in figure.axes:
            axes.legend()
        return
    columns = 2 if short else 1
    labels = [textwrap.fill(label, int(12 * figure.get_figwidth())) for label in entries]
    lines = sum(1 + label.count("\n") for label in labels)
    figure.set_figheight(figure.get_figheight() + 0.2 * math.ceil(lines / columns) + 0.2)
    figure.legend(
        entries.values(), labels, loc="outside lower center", ncols=columns, fontsize="small"
    )


def _save(figure, path: pathlib.Path) -> pathlib.Path:
    _legend(figure)
    return save(figure, path)
