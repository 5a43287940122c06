"""Checkpoints from which a run continues as if it had never stopped."""

import hashlib
import pathlib
import zipfile

import keras
import numpy as np

from anchor_tf.atomic import replacing
from anchor_tf.errors import UserError


class Checkpoint(keras.callbacks.Callback):
    """Saves every variable of the model and its optimizer after each epoch.

    With data order and random draws being functions of (seed, step), these are the whole state.
    The file is written under another name, synchronised and renamed, so a kill leaves the former
    one; it carries a checksum of its arrays.

    Args:
        path: the .npz file.
    """

    def __init__(self, path: pathlib.Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        save(self.path, self.model, epoch + 1)


def save(path: pathlib.Path, model: keras.Model, epoch: int) -> None:
    """Writes the state of a model and its optimizer after `epoch` epochs."""
    arrays = {
        f"{place:05d}": np.asarray(variable) for place, variable in enumerate(_variables(model))
    }
    arrays["epoch"] = np.asarray(epoch)
    with replacing(path) as file:
        np.savez(file, checksum=_checksum(arrays), **arrays)


def restore(path: pathlib.Path, model: keras.Model) -> int:
    """Puts the state back; returns the number of epochs done.

    Raises:
        UserError: the file is damaged or belongs to another model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        checksum = str(arrays.pop("checksum"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it to start the phase anew"
        ) from error
    if checksum != _checksum(arrays):
        raise UserError(f"{path} is damaged (wrong checksum): delete it to start the phase anew")
    epoch = int(arrays.pop("epoch"))
    variables = _variables(model)
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [arrays[name].shape for name in sorted(arrays)]:
        raise UserError(f"{path} belongs to another model: choose another --workdir")
    for variable, name in zip(variables, sorted(arrays), strict=True):
        variable.assign(arrays[name])
    return epoch


def _variables(model: keras.Model) -> list:
    """Weights, batch statistics, optimizer slots and iteration; trackers start anew each epoch."""
    return [*model.weights, *model.optimizer.variables]


def _checksum(arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
