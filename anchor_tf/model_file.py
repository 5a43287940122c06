"""model.keras: a trained classifier, images in [0, 1] to logits, as one file."""

import os
import pathlib
import zipfile
from collections.abc import Callable

import keras
import tensorflow as tf

from anchor_tf.backbones import layers  # noqa: F401  registers the layers that the file names
from anchor_tf.errors import UserError


def save(model: keras.Model, path: str | os.PathLike) -> None:
    """Writes a functional model; the file appears whole or not at all."""
    path = pathlib.Path(path)
    partial = path.with_name(f".partial.{os.getpid()}.keras")
    try:
        model.save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | os.PathLike) -> Callable:
    """Reads a classifier without running anything that the file contains.

    Args:
        path: a .keras file, or a SavedModel folder (or the folder of its versions, of which the
            highest is taken) whose `serving_default` returns `logits`.

    Returns:
        A Keras model, or for a SavedModel a function, images [B, H, W, C] in [0, 1] -> logits.

    Raises:
        UserError: the file is missing, damaged or no classifier.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return _load_saved_model(path)
    if not path.is_file():
        raise UserError(f"{path} is missing: let the training of this run finish first")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a Keras model: {reason}") from error


def _load_saved_model(path: pathlib.Path) -> Callable:
    versions = [int(entry.name) for entry in path.iterdir() if entry.name.isdecimal()]
    if versions and not (path / "saved_model.pb").exists():
        path = path / str(max(versions))
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a SavedModel: {reason}") from error
    serve = loaded.signatures.get("serving_default")
    if serve is None or "logits" not in serve.structured_outputs:
        raise UserError(f"{path} has no signature serving_default that returns logits")
    (name,) = serve.structured_input_signature[1]

    def logits_fn(images):
        return serve(**{name: images})["logits"]

    logits_fn.weights = list(loaded.variables) if hasattr(loaded, "variables") else []
    logits_fn.saved_model = loaded  # keeps its variables alive
    return logits_fn
