"""Trains methods side by side: `python -m anchor_tf.study --methods='pgd_at,anchor' --seeds=3`.

Each run is one of `anchor_tf.train`, in a process and a folder of its own. With --out, the finished
runs of a study are attacked again, by `anchor_tf.evaluate`.
"""

import collections
import dataclasses
import pathlib
import shlex
import sys

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.devices import cluster, onednn
from anchor_tf.errors import UserError
from anchor_tf.setup import refusals
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
from anchor_tf.studies.plan import Run, check_data, common_settings, plan, title
from anchor_tf.studies.record import NAME, Record, read
from anchor_tf.studies.runs import run_all
from anchor_tf.terminal import command_line


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
        found = results.gather([entry.text for entry in self.entries], self.runs)
        failed = [run.method for run in self.runs if run.name in self.record.failures]
        rows = table.rows(found, collections.Counter(failed), folds=self.runs[0].counted == "fold")
        plots.draw(self.folder / "plots", found, self.entries)
        hyperparameters.write(self.folder, self.runs, found)
        facts = table.facts(self.title, _command(), found)
        return table_files.write(self.folder, facts, rows, table.warnings(found))


def main() -> None:
    """Checks the flags, runs what is left to run, and keeps the table up to date."""
    from anchor_tf.flags import study as study_flags  # here: the import defines flags

    flags = study_flags.values()
    refusals.name_of("workdir", flags["workdir"])
    _check(flags)
    of = _of_evaluations if flags["out"] else _of_trainings
    study = of(flags, study_flags.parse)
    try:
        run_all(study.runs, study.record, study.summarise, flags["jobs"])
    except KeyboardInterrupt:
        command_line.say("stopped: the same command goes on from here")
        sys.exit(command_line.INTERRUPTED)
    print(study.summarise())
    for name, failure in study.record.failures.items():
        print(f"failed: {name}, status {failure['status']}: {failure['message']}")
    print(f"table and plots are in {study.folder}")
    sys.exit(1 if study.record.failures else 0)


def _of_trainings(flags, parse_flag) -> _Study:
    from anchor_tf.setup import preparation

    compared = entries.check(specs.split(flags["methods"]), parse_flag)
    spec, data = preparation.dataset(flags["dataset"])
    flags["dataset"] = spec.text

    def complete(flags):
        return preparation.complete(flags, spec, data)

    folder = pathlib.Path(flags["workdir"] or f"runs/study_{data.name}")
    refusals.name_of("workdir", folder)
    _choose_precision(flags, folder)
    config = complete(flags)
    settings = common_settings(config)
    settings |= {name: flags[name] for name in ("cross_validate", "equal_passes")}
    seeds = 0 if flags["cross_validate"] else flags["seeds"]
    record = Record(folder, settings, compared, seeds)
    epochs = _equal_epochs(compared, flags, complete) if flags["equal_passes"] else None
    runs = plan(compared, folder, flags, complete, epochs)
    check_data(runs, lambda config: preparation.training_data(config, data))
    refusals.unwritable(folder / "study.json", "workdir")
    return _Study(folder, title(runs, config.norm, config.epsilon), compared, runs, record)


def _of_evaluations(flags, parse_flag) -> _Study:
    """The finished runs of a study under other attacks."""
    from anchor_tf.setup import preparation

    if not flags["workdir"]:
        raise UserError("--out needs --workdir, the folder of a finished study to attack again")
    for name in (*flags["given"], *flags["own_given"]):
        if name not in (*attacked_again.GIVEN, "workdir", "out", "jobs"):
            raise UserError(
                f"--{name} does not go with --out, which attacks what --workdir holds: "
                f"give --{', --'.join(attacked_again.GIVEN)} alone"
            )
    attacks = refusals.attacks(flags["attacks"], needed=True)
    study, out = pathlib.Path(flags["workdir"]), pathlib.Path(flags["out"])
    if out.resolve() == study.resolve():
        raise UserError(f"--out={out} is the study itself: name another folder")
    with refusals.naming("workdir"):
        former = read(study)
    compared = entries.check(list(former["methods"]), parse_flag)
    runs = attacked_again.plan(study, out, compared, former["seeds"], attacks, flags["given"])
    first = runs[0].config
    norm, epsilon = _threat(flags, first)
    data = preparation.training_data(first, preparation.dataset(first.dataset)[1])
    refusals.radius(norm, epsilon, data.image_shape)
    refusals.examples("examples", flags["examples"], len(data.test))
    cluster.taking_part(flags["strategy"])
    settings = {"workdir": str(study.resolve()), "norm": norm, "epsilon": epsilon}
    settings |= {name: flags[name] for name in ("attacks", "examples")}
    record = Record(out, settings, compared, former["seeds"], flag="out")
    refusals.unwritable(out / "study.json", "out")
    return _Study(out, title(runs, norm, epsilon), compared, runs, record)


def _threat(flags, of_training: TrainConfig) -> tuple[str, float]:
    """Norm and radius of new attacks: those of the training, unless others are given."""
    for name in ("norm", "epsilon"):
        if name in flags["given"] and len(flags[name]) != 1:
            raise UserError(f"--{name} takes one value here: a table is of one threat")
    norms = flags["norm"] if "norm" in flags["given"] else [of_training.norm]
    (threat,) = refusals.radii(norms, flags["epsilon"], (of_training.norm, of_training.epsilon))
    return threat


def _choose_precision(flags, folder: pathlib.Path) -> None:
    """Has all runs of a study compute in what --precision=auto chose at its beginning."""
    if flags["precision"] == "auto":
        kept = read(folder)["settings"].get("precision") if (folder / NAME).exists() else None
        flags["precision"] = kept or onednn.fastest_precision()
        flags["given"]["precision"] = f"--precision={flags['precision']}"


def _command() -> str:
    """The command line of this study, for a shell."""
    return shlex.join(["python", "-m", "anchor_tf.study", *sys.argv[1:]])


def _check(flags) -> None:
    for name in entries.OWN:
        if name in flags["given"] and name != "workdir":
            instead = "give --methods" if name == "method" else "see --seeds and --cross_validate"
            raise UserError(f"--{name} is set by the study for each run: {instead}")
    if flags["cross_validate"]:
        for name in {"seeds", "fold"} & {*flags["own_given"], *flags["given"]}:
            raise UserError(f"--{name} does not go with --cross_validate: one run a fold")


def _equal_epochs(compared: list[Entry], flags, complete) -> list[int]:
    """Epochs of each entry, with which all cost the same."""
    for place, entry in enumerate(compared):
        schedule = ("epochs", "warmup_epochs", "ramp_epochs") if place else ()
        for name in ("train_examples", *schedule):
            if name in entry.flags:
                raise UserError(f"--methods: --equal_passes sets --{name} of {entry.text}")
    configs = [complete({**flags, **entry.values}) for entry in compared]
    if not all(config.epochs for config in configs):
        raise UserError("--equal_passes needs --epochs above 0: it is the first method's budget")
    methods = [entry.method for entry in compared]
    costs = budget.costs(list(zip(methods, configs, strict=True)))
    first = configs[0]
    total = first.epochs * costs[0].training + first.finetune_epochs * costs[0].finetune
    return [
        budget.equal_epochs(total, cost, config.finetune_epochs)
        for cost, config in zip(costs, configs, strict=True)
    ]


if __name__ == "__main__":
    command_line.run(main, "study")
