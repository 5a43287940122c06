"""Trains, fine-tunes, evaluates and exports: `python -m anchor_tf.train --method=anchor`."""

import contextlib
import dataclasses

from anchor_tf import config as config_file
from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.devices import cluster, machine, onednn
from anchor_tf.files import history_file, lock
from anchor_tf.reports import report_file
from anchor_tf.setup import refusals
from anchor_tf.terminal import command_line, console
from anchor_tf.terminal.interruption import Interruption
from anchor_tf.workdir import Workdir


def main() -> None:
    """Checks the flags and the data, then takes the run through the phases that are left."""
    from anchor_tf.flags import train as train_flags  # here: the import defines flags

    interruption = Interruption().install()
    flags = train_flags.values()
    refusals.name_of("workdir", flags["workdir"])
    with refusals.naming("method"):
        flags["method"] = specs.check(specs.parse(flags["method"]), "anchor_tf.methods", "method")
    # Here: the first mistakes are told without reading any data.
    from anchor_tf.setup import preparation

    spec, data = preparation.dataset(flags["dataset"])
    flags["workdir"] = flags["workdir"] or f"runs/{flags['method'].name}_{data.name}"
    refusals.name_of("workdir", flags["workdir"])  # the default as well
    config = preparation.complete({**flags, "method": flags["method"].text}, spec, data)
    data = preparation.training_data(config, data)
    workdir = Workdir(flags["workdir"])
    config = workdir.adopt(config, train_flags.given())
    workers = cluster.taking_part(flags["strategy"])
    if workdir.finished and workdir.holds(config):
        _show(workdir)
        return
    refusals.unwritable(workdir.report, "workdir")
    # One process at a time, but the workers of a cluster share the folder of the first.
    with lock.alone(workdir.path) if workers.index == 0 else contextlib.nullcontext():
        command_line.import_tensorflow(flags["virtual_devices"], start_devices=workers.size == 1)
        _run(flags, data, config, workdir, interruption)


def _run(flags, data, config: TrainConfig, workdir: Workdir, interruption: Interruption) -> None:
    """All phases, in the folder that is now this process's own."""
    from anchor_tf.callbacks.checkpoints import Interval
    from anchor_tf.devices import distribution
    from anchor_tf.training import all_phases
    from anchor_tf.training.run import TrainingRun

    place = distribution.place(flags["strategy"], flags["virtual_devices"], flags["xla"])
    method, augment = _build(config, flags["method"], data, place)
    interval = Interval(
        flags["checkpoint_minutes"], flags["checkpoint_steps"], flags["keep_checkpoints"]
    )
    shown = {name: flags[name] for name in ("projector_every", "profile")}
    run = TrainingRun(config, data, augment, workdir, place, interval, interruption, **shown)
    left = not (workdir.trained(config) and workdir.holds(config))
    if any(distribution.any_worker(place.strategy, [left])):  # all build the optimizer, or none
        all_phases.check(method, run)
    if place.chief:
        _begin(config, method, data, workdir, place)
        workdir.tidy()
    distribution.barrier(place.strategy)
    if not place.chief:
        workdir.check(config)
        workdir.check_data(data.digest())
    if not workdir.trained(config):
        all_phases.train(method, run)
    elif place.chief and workdir.report.exists():
        print("resumed: phase=export step=0", flush=True)
    elif place.chief and not workdir.evaluation.exists():  # with it, the evaluation tells
        print("resumed: phase=evaluate step=0", flush=True)
    _finish(config, method, data, workdir, place)
    distribution.barrier(place.strategy)  # a worker that left earlier would take the chief along


def _begin(config: TrainConfig, method, data, workdir: Workdir, place) -> None:
    """Makes the folder the run's own and says what will be done."""
    from anchor_tf.training import attack_facts

    _compare_processors(workdir)
    facts = {
        "image_shape": data.image_shape,
        "class_names": data.class_names,
        "indices": dict(data.indices),
        "data_sha256": data.digest(),
        "phases": attack_facts.phases(config, method),
        "processor": {"processor": machine.processor(), **onednn.describe()},
    }
    workdir.begin(config, facts)
    height, width, channels = data.image_shape
    console.tell(
        f"{config.method} on {config.dataset}: {len(data.train)} training, "
        f"{len(data.validation)} validation and {len(data.test)} test images of "
        f"{height}x{width}x{channels}, {data.classes} classes\n"
        f"backbone {config.backbone}, {config.norm} epsilon {config.epsilon:.4g}, "
        f"{config.epochs} epochs, batch {config.batch_size}, into {workdir.path}\n"
        f"replicas {place.strategy.num_replicas_in_sync}, on {machine.name()}",
    )


def _compare_processors(workdir: Workdir) -> None:
    """Warns where a run continues on other arithmetic than it began with."""
    if not workdir.config.exists():
        return
    before = config_file.load(workdir.config)[1].get("processor")
    here = onednn.describe()
    if isinstance(before, dict) and any(before.get(name) != here[name] for name in here):
        print(
            f"warning: this run began with {onednn.in_words(before)}, here it is "
            f"{onednn.in_words(here)}: its last bits may differ from here on",
            flush=True,
        )


def _build(config: TrainConfig, method_spec, data, place):
    """The method and the augmentation, tried out: mistakes show before anything is written."""
    from anchor_tf.evaluation.members import check_attacks
    from anchor_tf.pipelines import augment
    from anchor_tf.threat import Threat
    from anchor_tf.training import construction

    attacks = specs.check_list(config.attacks, "anchor_tf.attacks", "attack")
    threat = Threat(config.norm, config.epsilon)
    check_attacks(attacks, threat, data.image_shape, data.classes)
    augmentation = augment.build(augment.check(config.augment))
    augment.try_out(augmentation, data.image_shape)
    return construction.build(config, method_spec, data, place), augmentation


def _finish(config: TrainConfig, method, data, workdir: Workdir, place) -> None:
    """Evaluates and exports the trained model, unless that is done."""
    from anchor_tf import saved_model
    from anchor_tf.assessment import Assessment, assess
    from anchor_tf.callbacks import overfitting_watch
    from anchor_tf.devices import distribution
    from anchor_tf.models import model_file
    from anchor_tf.pipelines.splits import split_name
    from anchor_tf.threat import Threat

    distribution.barrier(place.strategy)  # the first worker has saved the model
    with place.strategy.scope():
        model = model_file.load(workdir.model)
    if workdir.report.exists():
        if place.chief:
            _show(workdir)
    else:
        facts = _facts(config, method, model, len(data.train), workdir)
        history, phases = workdir.history, facts["phases"]
        wanted = Assessment(
            dataset=config.dataset,
            split=split_name(config.fold),
            attacks=specs.check_list(config.attacks, "anchor_tf.attacks", "attack"),
            threats=[Threat(config.norm, config.epsilon)],
            seed=config.seed,
            examples=config.examples,
            batch_size=None,
            training_epsilon=config_file.training_radius(config, phases),
            save_examples=None,
            facts=facts,
            warnings=overfitting_watch.warnings(history, data.classes, config.select, phases),
            projector=workdir.projector,
        )
        with place.strategy.scope():
            last = model_file.load(workdir.last_model) if workdir.last_model.exists() else None
        assess(model, data, wanted, workdir.path, last, place)
    if not place.chief:
        return
    if not workdir.exported:
        shape, source = data.image_shape, workdir.model
        saved_model.export(model, workdir.export, image_shape=shape, source=source)
    print(f"model, report and SavedModel are in {workdir.path}")


def _facts(config: TrainConfig, method, model, training_images: int, workdir: Workdir) -> dict:
    """What the report says of the run, beside its accuracies."""
    from anchor_tf.methods import finetune
    from anchor_tf.reports import reproduction
    from anchor_tf.training import attack_facts

    mode = finetune.mode_of(method, config.finetune)
    tuning = finetune.image_passes(method, mode) * config.finetune_epochs
    return {
        "method": config.method,
        "backbone": config.backbone,
        "parameters": model.count_params(),
        "epochs": config.epochs,
        "training_seconds": history_file.training_seconds(workdir.history),
        "image_passes": method.image_passes * config.epochs + tuning,
        "training_images": training_images,
        "training": dataclasses.asdict(config),
        "phases": attack_facts.phases(config, method),
        "commands": reproduction.training_commands(config, workdir.path, workdir.earlier_epochs),
    }


def _show(workdir: Workdir) -> None:
    from anchor_tf.reports import rendering

    print(rendering.table(report_file.read(workdir.report)), flush=True)


if __name__ == "__main__":
    command_line.run(main, "train")
