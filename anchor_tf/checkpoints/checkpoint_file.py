"""One checkpoint: arrays and numbers in a file that shows any damage."""

import hashlib
import io
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from anchor_tf.errors import UserError
from anchor_tf.files.atomic import replacing

_DIGEST = 32  # bytes of SHA-256 behind the archive


class DamagedCheckpointError(UserError):
    """A file that is missing, or not what was written."""


def write(path: pathlib.Path, arrays: Sequence, facts: Mapping[str, float]) -> None:
    """Writes variables' values and further numbers, `step` for example.

    The file appears whole or not at all. Behind an .npz archive it holds the SHA-256 of the
    archive's bytes.
    """
    content = io.BytesIO()
    named = {f"{place:05d}": np.asarray(array) for place, array in enumerate(arrays)}
    np.savez(content, **named, **{f"fact_{name}": value for name, value in facts.items()})
    with replacing(path) as file:
        file.write(content.getbuffer())
        file.write(hashlib.sha256(content.getbuffer()).digest())


def read(path: pathlib.Path) -> tuple[list[np.ndarray], dict[str, float]]:
    """The arrays and the further numbers of a file.

    Raises:
        DamagedCheckpointError: a byte of it is not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedCheckpointError(f"{path} cannot be read ({error.strerror})") from error
    archive, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(archive).digest() != digest:
        raise DamagedCheckpointError(f"{path} is damaged (wrong checksum)")
    try:
        with np.load(io.BytesIO(archive), allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedCheckpointError(f"{path} is no checkpoint ({error})") from error
    facts = {name[5:]: arrays.pop(name).item() for name in list(arrays) if name.startswith("fact_")}
    return [arrays[name] for name in sorted(arrays)], facts


def assign(path: pathlib.Path, arrays: Sequence[np.ndarray], variables: Sequence) -> None:
    """Puts what was read back into variables.

    Raises:
        UserError: see `check`.
    """
    check(path, arrays, variables)
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def check(path: pathlib.Path, arrays: Sequence[np.ndarray], variables: Sequence) -> None:
    """Checks that what was read fits the variables.

    Raises:
        UserError: the file belongs to another model.
    """
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in arrays]:
        raise UserError(f"{path} belongs to another model: choose another --workdir")
