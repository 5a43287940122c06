"""Trains, fine-tunes, evaluates and exports: `python -m anchor_tf.train --method=anchor`."""

import dataclasses
import json

from anchor_tf import command_line, specs
from anchor_tf.config import TrainConfig
from anchor_tf.workdir import Workdir
from flags import train as train_flags


def main() -> None:
    """Checks the flags and the data, then takes the run through the phases that are left."""
    flags = train_flags.values()
    flags["method"] = specs.check(specs.parse(flags["method"]), "anchor_tf.methods", "method")
    data, config = _prepare(flags)
    name = f"{flags['method'].name}_{data.name}"
    workdir = Workdir(flags["workdir"] or f"runs/{name}")
    workdir.check(config)
    if workdir.finished:
        _show(workdir)
        return
    command_line.import_tensorflow()
    method, augment = _build(config, flags["method"], data)
    workdir.begin(
        config,
        {
            "image_shape": data.image_shape,
            "class_names": data.class_names,
            "indices": dict(data.indices),
        },
    )
    _announce(config, data, workdir)
    if not workdir.model.exists():
        _train(config, method, data, augment, workdir)
    _finish(config, data, workdir)


def _prepare(flags):
    """Loads the data and completes the configuration, all specs checked; no TensorFlow yet."""
    from pipelines import augment, load
    from pipelines.splits import steps_per_epoch, subset

    specs.check_list(flags["attacks"], "anchor_tf.attacks", "attack")
    if flags["backbone"] is not None:
        specs.check(specs.parse(flags["backbone"]), "anchor_tf.backbones", "backbone")
    if flags["augment"] is not None:
        augment.check(flags["augment"])
    dataset = load.check(specs.parse(flags["dataset"]))
    data = load.load(dataset)
    given = {**flags, "method": flags["method"].text, "dataset": dataset.text}
    config = TrainConfig.resolve(given, dataclasses.asdict(data.recipe))
    if config.train_examples is not None:
        train, chosen = subset(data.train, config.train_examples, config.seed)
        indices = {**data.indices, "train_examples": chosen.tolist()}
        data = dataclasses.replace(data, train=train, indices=indices)
    steps_per_epoch(data.train, config.batch_size)
    if config.examples is not None:
        subset(data.test, config.examples, config.seed)
    return data, config


def _announce(config: TrainConfig, data, workdir: Workdir) -> None:
    height, width, channels = data.image_shape
    print(
        f"{config.method} on {config.dataset}: {len(data.train)} training, "
        f"{len(data.validation)} validation and {len(data.test)} test images of "
        f"{height}x{width}x{channels}, {data.classes} classes\n"
        f"backbone {config.backbone}, {config.norm} epsilon {config.epsilon:.4g}, "
        f"{config.epochs} epochs, batch {config.batch_size}, into {workdir.path}",
        flush=True,
    )


def _build(config: TrainConfig, method_spec, data):
    """The method and the augmentation, tried out: mistakes show before anything is written."""
    import keras

    from anchor_tf.evaluation.members import check_attacks
    from anchor_tf.threat import Threat
    from pipelines import augment
    from pipelines.splits import steps_per_epoch

    threat = Threat(config.norm, config.epsilon)
    attacks = specs.check_list(config.attacks, "anchor_tf.attacks", "attack")
    check_attacks(attacks, threat, data.image_shape, data.classes)
    augmentation = augment.build(augment.check(config.augment))
    augment.try_out(augmentation, data.image_shape)
    keras.utils.set_random_seed(config.seed)
    backbone_spec = specs.check(specs.parse(config.backbone), "anchor_tf.backbones", "backbone")
    backbone = specs.load(backbone_spec, "anchor_tf.backbones")(
        data.image_shape, *data.channel_mean_and_std(), **backbone_spec.arguments
    )
    steps = steps_per_epoch(data.train, config.batch_size)
    method = specs.load(method_spec, "anchor_tf.methods")(
        backbone,
        data.classes,
        threat,
        epsilon_ramp_steps=round(config.ramp_epochs * steps),
        **method_spec.arguments,
        **_setup(config),
    )
    return method, augmentation


def _setup(config: TrainConfig) -> dict:
    """What training and fine-tuning methods have in common."""
    return {
        "attack_steps": config.attack_steps,
        "weight_decay": config.weight_decay,
        "seed": config.seed,
    }


def _train(config: TrainConfig, method, data, augmentation, workdir: Workdir) -> None:
    """Both phases of training, each continued where its checkpoint stands; saves the model."""
    import keras

    from anchor_tf import model_file, training
    from anchor_tf.methods.finetune import finetune_of

    phase = training.Phase("train", config.epochs, config.learning_rate, config.warmup_epochs)
    training.run(method, data, augmentation, phase, config, workdir.path)
    mode = method.default_finetune if config.finetune == "auto" else config.finetune
    if mode != "none":
        keras.utils.set_random_seed(config.seed)
        method = finetune_of(method, mode, **_setup(config))
        phase = training.Phase(
            "finetune", config.finetune_epochs, config.finetune_learning_rate, 0.0
        )
        training.run(method, data, augmentation, phase, config, workdir.path)
    model_file.save(method.classifier_model(), workdir.model)


def _finish(config: TrainConfig, data, workdir: Workdir) -> None:
    """Evaluates and exports the trained model, unless that is done."""
    from anchor_tf import model_file, saved_model
    from anchor_tf.assessment import Assessment, assess
    from anchor_tf.threat import Threat

    model = model_file.load(workdir.model)
    if workdir.report.exists():
        _show(workdir)
    else:
        wanted = Assessment(
            dataset=config.dataset,
            attacks=specs.check_list(config.attacks, "anchor_tf.attacks", "attack"),
            threats=[Threat(config.norm, config.epsilon)],
            seed=config.seed,
            examples=config.examples,
            batch_size=None,
            training_epsilon=config.epsilon,
            save_examples=None,
            facts={"method": config.method, "backbone": config.backbone},
        )
        assess(model, data, wanted, workdir.path)
    if not workdir.exported:
        saved_model.export(model, workdir.export, image_shape=data.image_shape)
    print(f"model, report and SavedModel are in {workdir.path}")


def _show(workdir: Workdir) -> None:
    from anchor_tf.evaluation import rendering

    print(rendering.table(json.loads(workdir.report.read_text(encoding="utf-8"))), flush=True)


if __name__ == "__main__":
    command_line.run(main)
