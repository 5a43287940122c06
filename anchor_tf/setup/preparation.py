"""From flags to the configuration of a run and its data, all specs checked; no TensorFlow yet."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.devices import onednn
from anchor_tf.pipelines import augment, load, splits
from anchor_tf.pipelines.data import ImageData
from anchor_tf.setup import refusals
from anchor_tf.setup.initial_run import check_initial
from anchor_tf.specs import Spec
from anchor_tf.workdir import Workdir


def dataset(text: str) -> tuple[Spec, ImageData]:
    """Checks and loads --dataset, and prints what is odd about it.

    Raises:
        UserError: there is no such data set, or it cannot be read.
    """
    with refusals.naming("dataset"):
        spec = load.check(specs.parse(text))
        data = load.load(spec)
    for warning in data.warnings:
        print(f"warning: {warning}", flush=True)
    return spec, data


def complete(flags: Mapping[str, Any], spec: Spec, data: ImageData) -> TrainConfig:
    """The configuration of a run.

    Args:
        flags: values of the flags of `flags/train.py` by name, the method as text. A run in
            "workdir" keeps the precision that "auto" chose for it.
        spec: of the data set.
        data: what it holds.

    Raises:
        UserError: a flag is wrong by itself, beside another, or for this data set.
    """
    refusals.attacks(flags["attacks"])
    with refusals.naming("backbone"):
        if flags["backbone"] is not None:
            specs.check(specs.parse(flags["backbone"]), "anchor_tf.backbones", "backbone")
    with refusals.naming("augment"):
        if flags["augment"] is not None:
            augment.check(flags["augment"])
    given = {**flags, "dataset": spec.text}
    if flags["precision"] == "auto":
        kept = flags["workdir"] and Workdir(flags["workdir"]).precision
        given["precision"] = kept or onednn.fastest_precision()
    if flags["init_from"] is not None:
        with refusals.naming("init_from"):
            initial = check_initial(flags["init_from"], data, flags["fold"])
        given["init_from"] = str(pathlib.Path(flags["init_from"]).resolve())
        given["backbone"] = flags["backbone"] or initial
    config = TrainConfig.resolve(given, dataclasses.asdict(data.recipe))
    refusals.radius(config.norm, config.epsilon, data.image_shape)
    here = flags["strategy"], flags["virtual_devices"]
    refusals.devices(*here, config.batch_size, config.precision)
    return config


def training_data(config: TrainConfig, data: ImageData) -> ImageData:
    """What a run trains and is evaluated on: see `part`.

    Raises:
        UserError: the data set has not so many images.
    """
    data = part(config, data)
    refusals.examples("examples", config.examples, len(data.test))
    splits.steps_per_epoch(data.train, config.batch_size)
    return data


def part(config: TrainConfig, data: ImageData) -> ImageData:
    """A run's part of its data set: without its fold, and as many images as it trains on.

    Raises:
        UserError: the data set has not so many images.
    """
    if config.fold is not None:
        data = splits.fold(data, config.fold)
    refusals.examples("train_examples", config.train_examples, len(data.train))
    if config.train_examples is not None:
        train, chosen = splits.subset(data.train, config.train_examples, config.seed)
        indices = {**data.indices, "train_examples": chosen.tolist()}
        data = dataclasses.replace(data, train=train, indices=indices)
    return data
