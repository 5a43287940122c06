"""model.keras: a trained classifier, images in [0, 1] to logits, as one file."""

import os
import pathlib
import zipfile

import keras

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


def load(path: str | os.PathLike) -> keras.Model:
    """Reads a model without running anything that the file contains.

    Raises:
        UserError: the file is missing, damaged or no Keras model.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path} is missing: let the training of this run finish first")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a Keras model: {reason}") from error
