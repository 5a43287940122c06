"""Trains methods side by side: `python -m anchor_tf.study --methods='pgd_at,anchor' --seeds=3`.

Each run is one of `anchor_tf.train`, in a process and a folder of its own.
"""

import collections
import dataclasses
import functools
import pathlib
import sys

from anchor_tf import command_line, refusals, specs
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.evaluation.rendering import format_epsilon
from anchor_tf.studies import budget, hyperparameters, plots, results, table
from anchor_tf.studies.plan import OWN, check_methods, common_settings, plan
from anchor_tf.studies.record import Record
from anchor_tf.studies.runs import run_all
from flags import study as study_flags

STOPPED = 130


def main() -> None:
    """Checks the flags, runs what is left to run, and keeps the table up to date."""
    flags = study_flags.values()
    _check(flags)
    with refusals.naming("methods"):
        methods = check_methods(flags["methods"])
    data = _data(flags)
    recipe = dataclasses.asdict(data.recipe)
    config = TrainConfig.resolve(flags, recipe)
    folder = pathlib.Path(flags["workdir"] or f"runs/study_{data.name}")
    settings = common_settings(config)
    settings |= {name: flags[name] for name in ("cross_validate", "equal_passes")}
    seeds = 0 if flags["cross_validate"] else flags["seeds"]
    record = Record(folder, settings, [method.text for method in methods], seeds)
    runs = plan(methods, folder, flags, recipe, _epochs(methods, flags, config))
    for run in runs:
        _check_sizes(run.config, data)
    here = flags["strategy"], flags["virtual_devices"]
    refusals.devices(*here, config.batch_size, config.precision)
    refusals.unwritable(folder / "study.json", "workdir")
    radius = format_epsilon(config.norm, config.epsilon)
    title = f"{config.dataset}, {config.norm} epsilon {radius}, backbone {config.backbone}"
    summarise = functools.partial(_summarise, folder, title, runs, methods, record)
    try:
        run_all(runs, record, summarise)
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        sys.exit(STOPPED)
    print(summarise())
    for name, failure in record.failures.items():
        print(f"failed: {name}, status {failure['status']}: {failure['message']}")
    print(f"table and plots are in {folder}")
    sys.exit(1 if record.failures else 0)


def _check(flags) -> None:
    for name in OWN:
        if name in flags["given"] and name != "workdir":
            instead = "give --methods" if name == "method" else "see --seeds and --cross_validate"
            raise UserError(f"--{name} is set by the study for each run: {instead}")
    if flags["cross_validate"] and flags["seeds_given"]:
        raise UserError("--seeds does not go with --cross_validate, which makes one run a fold")
    refusals.attacks(flags["attacks"])
    with refusals.naming("backbone"):
        if flags["backbone"] is not None:
            specs.check(specs.parse(flags["backbone"]), "anchor_tf.backbones", "backbone")


def _data(flags):
    """Loads the data and completes the flags as training does; what does not fit is refused."""
    from anchor_tf.initialization import check_initial
    from pipelines import augment, load

    with refusals.naming("augment"):
        if flags["augment"] is not None:
            augment.check(flags["augment"])
    with refusals.naming("dataset"):
        dataset = load.check(specs.parse(flags["dataset"]))
        data = load.load(dataset)
    flags["dataset"] = dataset.text
    if flags["init_from"] is not None:
        with refusals.naming("init_from"):
            initial = check_initial(flags["init_from"], data)
        flags["init_from"] = str(pathlib.Path(flags["init_from"]).resolve())
        flags["backbone"] = flags["backbone"] or initial
    return data


def _check_sizes(config: TrainConfig, data) -> None:
    """Refuses what every run would refuse."""
    from pipelines.splits import fold, steps_per_epoch, subset

    if config.fold is not None:
        data = fold(data, config.fold)
    train = data.train
    refusals.radius(config.norm, config.epsilon, data.image_shape)
    refusals.examples("train_examples", config.train_examples, len(train))
    refusals.examples("examples", config.examples, len(data.test))
    if config.train_examples is not None:
        train, _ = subset(train, config.train_examples, config.seed)
    steps_per_epoch(train, config.batch_size)


def _epochs(methods, flags, config: TrainConfig) -> list[int] | None:
    """Epochs of each method where all are to cost the same."""
    if not flags["equal_passes"]:
        return None
    if not config.epochs:
        raise UserError("--equal_passes needs --epochs above 0: it is the first method's budget")
    costs = budget.costs(methods, config)
    first = costs[0]
    others = [
        budget.equal_epochs(first, other, config.epochs, config.finetune_epochs)
        for other in costs[1:]
    ]
    return [config.epochs, *others]


def _summarise(folder, title: str, runs, methods, record: Record) -> str:
    """Writes tables, plots and what TensorBoard shows; returns the table as text."""
    found = results.gather(runs)
    failures = collections.Counter(run.method for run in runs if run.name in record.failures)
    folds = runs[0].counted == "fold"
    rows = table.rows(found, failures, folds=folds)
    plots.draw(folder / "plots", found, methods)
    hyperparameters.write(folder, runs, found)
    return table.write(folder, title, rows, table.warnings(found))


if __name__ == "__main__":
    command_line.run(main)
