"""Trains methods side by side: `python -m anchor_tf.study --methods='pgd_at,anchor' --seeds=3`.

Each run is one of `anchor_tf.train`, in a process and a folder of its own. With --out, the finished
runs of a study are attacked again, by `anchor_tf.evaluate`.
"""

import collections
import dataclasses
import pathlib
import shlex
import sys

from anchor_tf import command_line, refusals, specs
from anchor_tf.config import TrainConfig
from anchor_tf.errors import UserError
from anchor_tf.evaluation.rendering import format_epsilon
from anchor_tf.studies import (
    attacked_again,
    budget,
    entries,
    hyperparameters,
    plots,
    results,
    table,
    table_files,
)
from anchor_tf.studies.entries import Entry
from anchor_tf.studies.plan import OWN, Run, common_settings, plan
from anchor_tf.studies.record import Record
from anchor_tf.studies.runs import run_all
from flags import study as study_flags

STOPPED = 130


@dataclasses.dataclass(frozen=True)
class _Study:
    """What is compared: where, under which heading, by which runs of what."""

    folder: pathlib.Path
    title: str
    entries: list[Entry]
    runs: list[Run]
    record: Record

    def summarise(self) -> str:
        """Writes tables, plots and what TensorBoard shows; returns the table as text."""
        found = results.gather(self.runs)
        failed = [run.method for run in self.runs if run.name in self.record.failures]
        rows = table.rows(found, collections.Counter(failed), folds=self.runs[0].counted == "fold")
        plots.draw(self.folder / "plots", found, self.entries)
        hyperparameters.write(self.folder, self.runs, found)
        facts = table.facts(self.title, _command(), found)
        return table_files.write(self.folder, facts, rows, table.warnings(found))


def main() -> None:
    """Checks the flags, runs what is left to run, and keeps the table up to date."""
    flags = study_flags.values()
    _check(flags)
    study = _of_evaluations(flags) if flags["out"] else _of_trainings(flags)
    try:
        run_all(study.runs, study.record, study.summarise, flags["jobs"])
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        sys.exit(STOPPED)
    print(study.summarise())
    for name, failure in study.record.failures.items():
        print(f"failed: {name}, status {failure['status']}: {failure['message']}")
    print(f"table and plots are in {study.folder}")
    sys.exit(1 if study.record.failures else 0)


def _of_trainings(flags) -> _Study:
    compared = entries.check(flags["methods"], study_flags.parse)
    data = _data(flags)
    recipe = dataclasses.asdict(data.recipe)
    config = TrainConfig.resolve(flags, recipe)
    folder = pathlib.Path(flags["workdir"] or f"runs/study_{data.name}")
    settings = common_settings(config)
    settings |= {name: flags[name] for name in ("cross_validate", "equal_passes")}
    seeds = 0 if flags["cross_validate"] else flags["seeds"]
    record = Record(folder, settings, compared, seeds)
    runs = plan(compared, folder, flags, recipe, _epochs(compared, flags, recipe))
    for run in runs:
        with refusals.naming("methods"):
            specs.check(specs.parse(run.config.backbone), "anchor_tf.backbones", "backbone")
        _check_sizes(run.config, data)
    here = flags["strategy"], flags["virtual_devices"]
    refusals.devices(*here, config.batch_size, config.precision)
    refusals.unwritable(folder / "study.json", "workdir")
    radius = format_epsilon(config.norm, config.epsilon)
    title = f"{config.dataset}, {config.norm} epsilon {radius}, backbone {config.backbone}"
    return _Study(folder, title, compared, runs, record)


def _of_evaluations(flags) -> _Study:
    """The finished runs of a study under other attacks."""
    if not flags["workdir"]:
        raise UserError("--out needs --workdir, the folder of a finished study to attack again")
    for name in (*flags["given"], *flags["own_given"]):
        if name not in (*attacked_again.GIVEN, "out", "jobs"):
            raise UserError(
                f"--{name} does not go with --out, which attacks what --workdir holds: "
                f"give --{', --'.join(attacked_again.GIVEN[1:])} alone"
            )
    study, out = pathlib.Path(flags["workdir"]), pathlib.Path(flags["out"])
    if out.resolve() == study.resolve():
        raise UserError(f"--out={out} is the study itself: name another folder")
    former = attacked_again.read(study)
    compared = entries.check(",".join(former["methods"]), study_flags.parse)
    runs = attacked_again.plan(study, out, flags, compared, former["seeds"])
    settings = {name: flags[name] for name in ("attacks", "examples", "norm", "epsilon")}
    record = Record(out, {"study": str(study), **settings}, compared, former["seeds"])
    refusals.unwritable(out / "study.json", "out")
    first = runs[0].config
    radii = [format_epsilon(norm, r) for norm in flags["norm"] for r in flags["epsilon"] or ()]
    radius = ", ".join(radii) or format_epsilon(first.norm, first.epsilon)
    norms = ", ".join(flags["norm"])
    title = f"{first.dataset}, {norms} epsilon {radius}, backbone {first.backbone}"
    return _Study(out, title, compared, runs, record)


def _command() -> str:
    """The command line of this study, for a shell."""
    return shlex.join(["python", "-m", "anchor_tf.study", *sys.argv[1:]])


def _check(flags) -> None:
    for name in OWN:
        if name in flags["given"] and name != "workdir":
            instead = "give --methods" if name == "method" else "see --seeds and --cross_validate"
            raise UserError(f"--{name} is set by the study for each run: {instead}")
    if flags["cross_validate"]:
        for name in {"seeds", "fold"} & {*flags["own_given"], *flags["given"]}:
            raise UserError(f"--{name} does not go with --cross_validate: one run a fold")
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


def _epochs(compared: list[Entry], flags, recipe) -> list[int] | None:
    """Epochs of each entry where all are to cost the same."""
    if not flags["equal_passes"]:
        return None
    configs = [TrainConfig.resolve({**flags, **entry.values}, recipe) for entry in compared]
    first = configs[0]
    if not first.epochs:
        raise UserError("--equal_passes needs --epochs above 0: it is the first method's budget")
    methods = [entry.method for entry in compared]
    costs = budget.costs(list(zip(methods, configs, strict=True)))
    total = first.epochs * costs[0].training + first.finetune_epochs * costs[0].finetune
    return [
        budget.equal_epochs(total, cost, config.finetune_epochs)
        for cost, config in zip(costs, configs, strict=True)
    ]


if __name__ == "__main__":
    command_line.run(main)
