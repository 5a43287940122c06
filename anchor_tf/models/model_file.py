"""model.keras: a trained classifier, images in [0, 1] to logits, as one file."""

import importlib
import os
import pathlib
from collections.abc import Callable

import keras
import tensorflow as tf

from anchor_tf import plugins
from anchor_tf.errors import UserError
from anchor_tf.files import archives
from anchor_tf.files.atomic import put_in_place, temporary_path
from anchor_tf.models import graph_check, model_path, outputs


def save(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes a functional model; the file appears whole or not at all."""
    path = pathlib.Path(path)
    partial = temporary_path(path)
    try:
        model.save(partial)
        put_in_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | os.PathLike) -> Callable:
    """Reads a classifier without running any Python code that the file contains.

    A .keras file is opened in Keras's safe mode: lambdas and layers of unknown packages are
    refused. The operations of a SavedModel are looked through first (see `graph_check`).

    Args:
        path: a .keras file, or a SavedModel folder (or the folder of its versions, of which the
            highest is taken) whose `serving_default` returns `logits`, or one output.

    Returns:
        A Keras model, or for a SavedModel a function, images [B, H, W, C] in [0, 1] -> logits. Its
        `digest` is that of what it was read from; both have an `input_shape` and `output_shape`.

    Raises:
        UserError: the file is missing, damaged, no classifier, or would do more than compute.
    """
    path = model_path.check(path)
    model = _load_saved_model(path) if path.is_dir() else _load_keras(path)
    model.digest = model_path.digest(path)
    return model


def classes(model) -> int | None:
    """How many classes a model that was loaded knows; a single output stands for two.

    None where a SavedModel does not tell.
    """
    shape = model.output_shape
    if isinstance(model, keras.Model):
        shape = tuple(model.outputs[0].shape)
    if shape is None:
        return None
    return 2 if shape[1:] in ((), (1,)) else shape[-1]


def image_shape(model) -> tuple[int | None, ...] | None:
    """The shape [B, H, W, C] of the images that a model takes, as far as it tells."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, dict | list) and len(shape) == 1:
        (shape,) = shape.values() if isinstance(shape, dict) else shape
    return shape if isinstance(shape, tuple) else None


def backbone_of(model) -> keras.Layer | None:
    """The layer of a classifier that turns images into features, if it begins with one."""
    layers = [
        layer
        for layer in getattr(model, "layers", ())
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    # Were something to come before the backbone, its features here would not be the model's.
    return layers[0] if layers and layers[0].name == "backbone" else None


def _register_layers() -> None:
    """Imports the backbones: a file may name layers that are defined beside them."""
    for name in plugins.entries("anchor_tf.backbones"):
        importlib.import_module(f"anchor_tf.backbones.{name}")


def _load_keras(path: pathlib.Path) -> keras.Model:
    _register_layers()
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # what a damaged file raises is not limited to any kinds
        raise UserError(
            f"{path} cannot be read as a Keras model: {archives.reason(error)}"
        ) from error
    if callable(getattr(model, "classifier_model", None)):
        raise UserError(f"{path} holds a training method: save its classifier_model() instead")
    if not isinstance(model, keras.Model):
        raise UserError(f"{path} is no classifier: it should map images to logits")
    _check_ends(path, model)
    return model


def _check_ends(path: pathlib.Path, model: keras.Model) -> None:
    """A built model of one input of images and one output of numbers."""
    try:
        takes, returns = list(model.inputs), list(model.outputs)
    except (AttributeError, TypeError, ValueError):
        takes = returns = ()
    if len(takes) > 1:
        names = ", ".join(one.name for one in takes)
        raise UserError(f"{path} takes {len(takes)} inputs ({names}): save one of images alone")
    if len(returns) > 1:
        names = ", ".join(model.output_names)
        raise UserError(
            f"{path} returns {len(returns)} outputs ({names}): save one of the logits alone, "
            "keras.Model(model.input, model.output[...])"
        )
    if not takes or not returns or len(returns[0].shape) not in (1, 2):
        raise UserError(f"{path} is no classifier: it should map images to logits")


def _load_saved_model(path: pathlib.Path) -> Callable:
    graph_check.check(path)
    try:
        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures.get("serving_default")
    except Exception as error:  # as above
        raise UserError(
            f"{path} cannot be read as a SavedModel: {archives.reason(error)}"
        ) from error
    if serve is None:
        raise UserError(f"{path} has no signature serving_default that returns logits")
    name = outputs.logits_named(serve.structured_outputs, path)
    names = list(serve.structured_input_signature[1])
    if len(names) != 1:
        raise UserError(f"{path}: serving_default should take images alone, not {names}")

    takes, returns = serve.structured_input_signature[1][names[0]], serve.structured_outputs
    _check_images(path, takes)

    def logits_fn(images):
        return serve(**{names[0]: tf.cast(images, takes.dtype)})[name]

    logits_fn.input_shape = _sizes(takes.shape)
    logits_fn.output_shape = _sizes(returns[name].shape)
    logits_fn.weights = list(loaded.variables) if hasattr(loaded, "variables") else []
    logits_fn.saved_model = loaded  # keeps its variables alive
    return logits_fn


def _check_images(path: pathlib.Path, takes: tf.TensorSpec) -> None:
    """Images in [0, 1], as many as there are."""
    if not takes.dtype.is_floating:
        raise UserError(
            f"{path}: serving_default should take floats in [0, 1], not {takes.dtype.name}"
        )
    if takes.shape.rank and takes.shape[0] is not None:
        raise UserError(
            f"{path}: serving_default takes batches of {takes.shape[0]} alone: export it for any"
        )


def _sizes(shape: tf.TensorShape) -> tuple[int | None, ...] | None:
    """As Keras gives them: None for what is open, or where nothing is known."""
    return None if shape.rank is None else tuple(shape.as_list())
