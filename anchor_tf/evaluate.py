"""Attacks a trained model: `python -m anchor_tf.evaluate --workdir=DIR --attacks=...`.

The model is that of a finished run, or with --model any .keras file or SavedModel.
"""

import contextlib
import dataclasses
import os
import pathlib
from typing import Any

from anchor_tf import config
from anchor_tf.devices import cluster
from anchor_tf.errors import UserError
from anchor_tf.files import lock
from anchor_tf.models import model_path
from anchor_tf.reports import report_file, reproduction
from anchor_tf.setup import refusals
from anchor_tf.terminal import command_line
from anchor_tf.terminal.interruption import Interruption
from anchor_tf.workdir import Workdir


def main() -> None:
    """Checks the flags and the paths, then evaluates and replaces the report."""
    from anchor_tf.flags import evaluate as evaluate_flags  # here: the import defines flags

    Interruption().install()
    flags = evaluate_flags.values()
    attacks = refusals.attacks(flags["attacks"], needed=True)
    subject = _subject(flags)
    workers = cluster.taking_part(flags["strategy"])
    prepared = _prepare(flags, subject)
    alone = lock.alone(subject.folder, subject.flag)
    # One process at a time, but the workers of a cluster share the folder of the first.
    with alone if workers.index == 0 else contextlib.nullcontext():
        command_line.import_tensorflow(flags["virtual_devices"], start_devices=workers.size == 1)
        _evaluate(flags, subject, attacks, prepared)


def _evaluate(flags, subject: "_Subject", attacks, prepared) -> None:
    """Loads the model and attacks it, in the folder that is now this process's own."""
    from anchor_tf.assessment import Assessment, assess
    from anchor_tf.callbacks import overfitting_watch
    from anchor_tf.devices import distribution
    from anchor_tf.evaluation.members import check_attacks
    from anchor_tf.models import model_file
    from anchor_tf.threat import Threat

    run, (spec, data, split, radii) = subject.run, prepared
    place = distribution.place(flags["strategy"], flags["virtual_devices"], flags["xla"])
    threats = [Threat(norm, epsilon) for norm, epsilon in radii]
    with refusals.naming("model" if flags["model"] else "workdir"), place.strategy.scope():
        model, last = (path and model_file.load(path) for path in (subject.model, subject.last))
    classes = model_file.classes(model) or data.classes
    for threat in threats:
        check_attacks(attacks, threat, data.image_shape, classes)

    warnings, phases = [], {}
    if run is not None:
        phases = subject.of_training.get("phases", {})
        history = subject.workdir.history
        warnings = overfitting_watch.warnings(history, data.classes, run.select, phases)
    trained_at = None
    if run is not None and run.norm == threats[0].norm:
        trained_at = config.training_radius(run, phases)
    wanted = Assessment(
        dataset=spec.text,
        split=split,
        attacks=attacks,
        threats=threats,
        seed=flags["seed"],
        examples=flags["examples"],
        batch_size=flags["batch_size"],
        training_epsilon=trained_at,
        save_examples=flags["save_examples"],
        facts={**subject.facts, "commands": _commands(flags, subject)},
        warnings=warnings,
    )
    assess(model, data, wanted, subject.folder, last, place)
    distribution.barrier(place.strategy)


def _prepare(flags, subject: "_Subject"):
    """The data set's spec, data and split, and the radii, all checked; no TensorFlow yet."""
    from anchor_tf.pipelines.splits import split_name
    from anchor_tf.setup import preparation

    with refusals.naming("model" if flags["model"] else "workdir"):
        model_path.check(subject.model)
    refusals.unwritable(subject.folder / "report.json", subject.flag)
    if flags["save_examples"] is not None:
        refusals.unwritable(flags["save_examples"], "save_examples")
    spec, data = preparation.dataset(subject.dataset)
    run, own = subject.run, _own_part(subject, data)
    split = split_name(run.fold if own else None)
    data = own or data
    if run is not None and own is None:
        _check_others(subject, spec, data)
    if subject.image_shape not in (None, data.image_shape):
        raise UserError(
            f"--dataset={spec.text} has images of the shape {data.image_shape}, the run was "
            f"trained on {subject.image_shape}"
        )
    threat = (run.norm, run.epsilon) if run else ("linf", data.recipe.epsilon)
    radii = refusals.radii(flags["norm"], flags["epsilon"], threat)
    for norm, epsilon in radii:
        refusals.radius(norm, epsilon, data.image_shape)
    refusals.examples("examples", flags["examples"], len(data.test))
    return spec, data, split, radii


def _own_part(subject: "_Subject", data):
    """The run's part of the data it was trained on, wherever they lie now; None if it is others."""
    from anchor_tf.setup import preparation

    if subject.run is None:
        return None
    try:
        part = preparation.part(subject.run, data)
    except UserError:  # there are not so many images
        return None
    return part if part.digest() == subject.data_sha256 else None


def _check_others(subject: "_Subject", spec, data) -> None:
    """Whether a run may be attacked on other data: labels should mean the same classes."""
    if spec.text == subject.run.dataset:
        raise UserError(
            f"--dataset={spec.text} holds other data than {subject.workdir.path} was trained on: "
            f"restore them, or attack --model={subject.model} with --dataset and --out"
        )
    known, names = subject.class_names, list(data.class_names)
    numbered = any(all(map(str.isdecimal, some)) for some in (known, names))
    if not numbered and known[: len(names)] != names:
        raise UserError(
            f"--dataset={spec.text} has the classes {', '.join(names)}; the run was trained on "
            f"{', '.join(known)}, in this order"
        )


@dataclasses.dataclass(frozen=True)
class _Subject:
    """What is attacked, and the folder that the report goes to, with the flag that named it.

    Of a run's model also its folder, its configuration, the shape of its images, its classes and
    data, and what its training took.
    """

    model: str | pathlib.Path
    folder: pathlib.Path
    flag: str
    dataset: str
    workdir: Workdir | None = None
    run: config.TrainConfig | None = None
    image_shape: tuple[int, ...] | None = None
    class_names: list[str] = dataclasses.field(default_factory=list)
    data_sha256: str | None = None
    of_training: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def last(self) -> pathlib.Path | None:
        """The model of the last epoch, where the run has kept the best epoch's beside it."""
        if self.workdir is None or not self.workdir.last_model.exists():
            return None
        return self.workdir.last_model

    @property
    def facts(self) -> dict[str, Any]:
        """What the report says of the model."""
        if self.run is None:
            return {"model": str(self.model)}
        return {
            "method": self.run.method,
            "backbone": self.run.backbone,
            **self.of_training,
            "training": dataclasses.asdict(self.run),
        }


def _commands(flags, subject: _Subject) -> list[str]:
    """What makes the report again, from nothing where it is a run's."""
    training = []
    if subject.run is not None:
        workdir = subject.workdir
        training = reproduction.training_commands(subject.run, workdir.path, workdir.earlier_epochs)
    return [*training, reproduction.evaluation_command(flags)]


def _subject(flags) -> _Subject:
    _check_out(flags)
    if flags["model"] is not None:
        if flags["workdir"] is not None:
            raise UserError("--model and --workdir both name what to attack: give one of them")
        if flags["dataset"] is None or not flags["out"]:
            raise UserError("--model needs --dataset, the images to attack, and --out, a folder")
        if not os.path.exists(flags["model"]):
            raise UserError(f"--model={flags['model']} does not exist")
        return _Subject(flags["model"], pathlib.Path(flags["out"]), "out", flags["dataset"])
    if flags["workdir"] is None:
        raise UserError("--workdir is missing: name the folder of a finished run, or give --model")
    workdir = Workdir(flags["workdir"])
    with refusals.naming("workdir"):
        run, facts = config.load(workdir.config)
        image_shape, class_names = config.image_facts(workdir.config, facts)
    return _Subject(
        workdir.model,
        pathlib.Path(flags["out"] or workdir.path),
        "out" if flags["out"] else "workdir",
        flags["dataset"] or run.dataset,
        workdir,
        run,
        image_shape,
        class_names,
        facts.get("data_sha256"),
        report_file.of_training(workdir.report) | _phases(workdir, facts),
    )


def _phases(workdir: Workdir, facts) -> dict[str, Any]:
    """The attacks in training, where the run's configuration tells of them."""
    phases = config.phases(workdir.config, facts)
    return {"phases": phases} if phases else {}


def _check_out(flags) -> None:
    """A run's folder keeps the report of its own model."""
    if flags["out"] and (pathlib.Path(flags["out"]) / "config.json").exists():
        own = flags["workdir"]
        if own is None or not os.path.samefile(flags["out"], own):
            raise UserError(f"--out={flags['out']} is the folder of another run: choose another")


if __name__ == "__main__":
    command_line.run(main, "evaluate")
