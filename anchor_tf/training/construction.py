"""From a configuration to a method: backbone, classifier, options and initial weights."""

import keras

from anchor_tf import specs
from anchor_tf.config import TrainConfig
from anchor_tf.devices import distribution, precision
from anchor_tf.devices.distribution import Place
from anchor_tf.errors import UserError
from anchor_tf.methods.base import Method
from anchor_tf.models import model_file
from anchor_tf.pipelines.data import ImageData
from anchor_tf.pipelines.splits import steps_per_epoch
from anchor_tf.specs import Spec
from anchor_tf.threat import Threat
from anchor_tf.workdir import Workdir


def build(config: TrainConfig, method_spec: Spec, data: ImageData, place: Place) -> Method:
    """The method that a configuration asks for, its weights drawn from the seed or loaded.

    Args:
        config: of the run.
        method_spec: its method, checked.
        data: for shapes, normalisation and the number of steps.
        place: devices and compiler.

    Raises:
        UserError: a precision that the devices lack, a batch that its replicas cannot share or
            that contrastive learning cannot use, an argument out of range, or an initial run that
            does not fit.
    """
    distribution.replicas(place.strategy).share(config.batch_size)
    precision.use(config.precision, place.strategy.num_replicas_in_sync)
    with place.strategy.scope():
        method = _built(config, method_spec, data)
    method.jit_parts = place.jit_parts
    return method


def _built(config: TrainConfig, method_spec: Spec, data: ImageData) -> Method:
    """The method with fresh weights, or with backbone and classifier of the run it starts from."""
    keras.utils.set_random_seed(config.seed)
    backbone, classifier = _backbone(config, data), None
    if config.init_from is not None:
        backbone, classifier = _trained(config, backbone)
    steps = steps_per_epoch(data.train, config.batch_size)
    method = specs.load(method_spec, "anchor_tf.methods")(
        backbone,
        data.classes,
        Threat(config.norm, config.epsilon),
        epsilon_ramp_steps=round(config.ramp_epochs * steps),
        **method_spec.arguments,
        **options(config),
    )
    if method.contrasts_classes:
        _check_contrast(config, data)
    if classifier is not None:
        method.classifier.set_weights(classifier.get_weights())
        if method.average is not None:
            method.average.restart()
    return method


def _backbone(config: TrainConfig, data: ImageData) -> keras.Model:
    spec = specs.check(specs.parse(config.backbone), "anchor_tf.backbones", "backbone")
    return specs.load(spec, "anchor_tf.backbones")(
        data.image_shape, *data.channel_mean_and_std(), **spec.arguments
    )


def _trained(config: TrainConfig, fresh: keras.Model):
    """Backbone and classifier of --init_from; its normalisation of the pixels is kept as well."""
    model = model_file.load(Workdir(config.init_from).model)
    parts = {layer.name: layer for layer in getattr(model, "layers", ())}
    if not {"backbone", "classifier"} <= parts.keys():
        raise UserError(f"--init_from={config.init_from} holds a model that no training has left")
    backbone = parts["backbone"]
    if [w.shape for w in backbone.weights] != [w.shape for w in fresh.weights]:
        raise UserError(
            f"--init_from={config.init_from} holds another network: leave --backbone out to take "
            "its own"
        )
    backbone = precision.as_set(backbone)
    backbone.trainable = True  # whatever the run's own fine-tuning left frozen
    return backbone, parts["classifier"]


def options(config: TrainConfig) -> dict:
    """What training and fine-tuning methods have in common."""
    return {
        "attack_steps": config.attack_steps,
        "training_attack": config.training_attack,
        "weight_decay": config.weight_decay,
        "label_smoothing": config.label_smoothing,
        "weight_perturbation": config.awp,
        "average_decay": config.ema_decay,
        "clip_norm": config.clip_norm,
        "batch_norm": config.batch_norm,
        "on_divergence": config.on_divergence,
        "seed": config.seed,
    }


def _check_contrast(config: TrainConfig, data: ImageData) -> None:
    """A contrastive loss needs others to repel and, in the data, pairs of one class to attract."""
    if len(set(data.train.labels.tolist())) == len(data.train):
        raise UserError(
            f"method {config.method} contrasts images of one class, but there is one of each: "
            "raise --train_examples"
        )
    if config.batch_size < 2:
        raise UserError(
            f"--batch_size={config.batch_size}: method {config.method} contrasts the images of a "
            "batch and needs at least 2"
        )
