"""Attacks a trained model: `python -m anchor_tf.evaluate --workdir=DIR --attacks=...`.

The model is that of a finished run, or with --model any .keras file or SavedModel.
"""

import os
import pathlib

from anchor_tf import cluster, command_line, config, specs
from anchor_tf.errors import UserError
from anchor_tf.workdir import Workdir
from flags import evaluate as evaluate_flags


def main() -> None:
    """Checks the flags and the paths, then evaluates and replaces the report."""
    flags = evaluate_flags.values()
    attacks = specs.check_list(flags["attacks"], "anchor_tf.attacks", "attack")
    if not attacks:
        raise UserError("--attacks is empty: name at least one, such as fgsm")
    model_path, folder, dataset, run = _subject(flags)

    from pipelines import load
    from pipelines.splits import fold, split_name

    spec = load.check(specs.parse(dataset))
    data = load.load(spec)
    if run is not None and run.fold is not None:
        data = fold(data, run.fold)
    workers = cluster.described()
    command_line.import_tensorflow(flags["virtual_devices"], start_devices=workers.size == 1)

    from anchor_tf import distribution, model_file
    from anchor_tf.assessment import Assessment, assess
    from anchor_tf.evaluation.members import check_attacks
    from anchor_tf.threat import Threat

    place = distribution.place(flags["strategy"], flags["virtual_devices"], flags["xla"])
    threats = [Threat(norm, epsilon) for norm, epsilon in _radii(flags, run, data)]
    for threat in threats:
        check_attacks(attacks, threat, data.image_shape, data.classes)
    with place.strategy.scope():
        model = model_file.load(model_path)
    _check_writable(folder / "report.json", "--out" if flags["out"] else "--workdir")
    if flags["save_examples"] is not None:
        _check_writable(pathlib.Path(flags["save_examples"]), "--save_examples")

    same_norm = run is not None and run.norm == flags["norm"][0]
    wanted = Assessment(
        dataset=spec.text,
        split=split_name(run and run.fold),
        attacks=attacks,
        threats=threats,
        seed=flags["seed"],
        examples=flags["examples"],
        batch_size=flags["batch_size"],
        training_epsilon=run.epsilon if same_norm else None,
        save_examples=flags["save_examples"],
        facts={"method": run.method, "backbone": run.backbone} if run else {"model": model_path},
    )
    assess(model, data, wanted, folder, place=place)
    distribution.barrier(place.strategy)


def _subject(flags):
    """Path of the model, folder of the report, the data set's spec, and the run's configuration."""
    if flags["model"] is not None:
        if flags["dataset"] is None or not (flags["out"] or flags["workdir"]):
            raise UserError("--model needs --dataset, the images to attack, and --out, a folder")
        if not os.path.exists(flags["model"]):
            raise UserError(f"--model={flags['model']} does not exist")
        return (
            flags["model"],
            pathlib.Path(flags["out"] or flags["workdir"]),
            flags["dataset"],
            None,
        )
    if flags["workdir"] is None:
        raise UserError("--workdir is missing: name the folder of a finished run, or give --model")
    workdir = Workdir(flags["workdir"])
    run, _ = config.load(workdir.config)
    folder = pathlib.Path(flags["out"] or workdir.path)
    return workdir.model, folder, flags["dataset"] or run.dataset, run


def _radii(flags, run, data) -> list[tuple[str, float]]:
    """Pairs of norm and radius; without --epsilon that of the training, in its norm alone."""
    own_norm, own_radius = (run.norm, run.epsilon) if run else ("linf", data.recipe.epsilon)
    if flags["epsilon"] is None and flags["norm"] != [own_norm]:
        raise UserError(f"--norm={','.join(flags['norm'])} needs --epsilon, a radius in that norm")
    radii = flags["epsilon"] or [own_radius]
    return [(norm, radius) for norm in flags["norm"] for radius in radii]


def _check_writable(path: pathlib.Path, flag: str) -> None:
    """Finds out before the evaluation, not after it, that its result could not be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{flag}: {path.parent}: {error.strerror}") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{flag}: {path} cannot be written")


if __name__ == "__main__":
    command_line.run(main)
