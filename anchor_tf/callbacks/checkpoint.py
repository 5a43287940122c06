"""Checkpoints from which a run continues as if it had never stopped."""

import hashlib
import pathlib
import zipfile
from collections.abc import Sequence

import keras
import numpy as np

from anchor_tf.atomic import replacing
from anchor_tf.errors import UserError

_REMEDY = "delete this phase's files beside it to start the phase anew"


class Checkpoint(keras.callbacks.Callback):
    """Saves every variable of a method after each epoch.

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
        save(self.path, self.model.state, epoch=epoch + 1)


class BestCheckpoint(keras.callbacks.Callback):
    """Saves what would be evaluated whenever its PGD accuracy on the validation split is the best.

    Of equals the first is kept.

    Args:
        path: the .npz file; a continued run goes on from the best that it holds.
    """

    def __init__(self, path: pathlib.Path):
        super().__init__()
        self.path = path
        self._best = read(path)[1]["robust"] if path.exists() else -1.0

    def on_epoch_end(self, epoch, logs=None):
        robust = logs.get("validation_robust", -1.0)
        if robust > self._best:
            self._best = robust
            save(self.path, self.model.evaluated_weights, epoch=epoch + 1, robust=robust)


def save(path: pathlib.Path, variables: Sequence, **facts: float) -> None:
    """Writes variables and further numbers, `epoch` for example."""
    arrays = {f"{place:05d}": np.asarray(variable) for place, variable in enumerate(variables)}
    arrays |= {f"fact_{name}": np.asarray(value) for name, value in facts.items()}
    with replacing(path) as file:
        np.savez(file, checksum=_checksum(arrays), **arrays)


def restore(path: pathlib.Path, variables: Sequence) -> dict[str, float]:
    """Puts the values back; returns the further numbers.

    Raises:
        UserError: the file is damaged or belongs to another model.
    """
    values, facts = read(path)
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise UserError(f"{path} belongs to another model: choose another --workdir")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return facts


def read(path: pathlib.Path) -> tuple[list[np.ndarray], dict[str, float]]:
    """The arrays and the further numbers of a file.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        checksum = str(arrays.pop("checksum"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is missing or damaged ({error}): {_REMEDY}") from error
    if checksum != _checksum(arrays):
        raise UserError(f"{path} is damaged (wrong checksum): {_REMEDY}")
    facts = {name[5:]: arrays.pop(name).item() for name in list(arrays) if name.startswith("fact_")}
    return [arrays[name] for name in sorted(arrays)], facts


def _checksum(arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
