"""Models: what can be said of a file or folder before TensorFlow is imported."""

import hashlib
import os
import pathlib

from anchor_tf.errors import UserError
from anchor_tf.files import archives

KERAS_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
SOURCE = "assets.extra/model.sha256"  # in a SavedModel: of which file it was made


_PATTERN = "*?[\\"  # of file names, to TensorFlow


def check_name(path: str | os.PathLike) -> None:
    """Refuses a path in which TensorFlow, where it reads a SavedModel, sees a pattern.

    It writes one there, and then finds no file, or those of another folder.

    Raises:
        UserError: the path has such a character.
    """
    found = [character for character in _PATTERN if character in str(path)]
    if found:
        raise UserError(
            f"{path} has {' and '.join(found)} in its name, which TensorFlow takes for a pattern: "
            f"it could not read a SavedModel there; choose a name without {' '.join(_PATTERN)}"
        )


def check(path: str | os.PathLike) -> pathlib.Path:
    """Finds the model that a path names.

    Args:
        path: a .keras file, a SavedModel folder, or the folder of its versions, of which the
            highest is taken.

    Returns:
        The .keras file or the folder of the SavedModel.

    Raises:
        UserError: there is nothing, or something else; or a SavedModel where TensorFlow cannot read
            it (see `check_name`).
    """
    path = pathlib.Path(path).expanduser()
    if path.is_dir():
        return _saved_model(path)
    if not path.is_file():
        raise UserError(f"{path} is missing: it is there once a training has finished")
    archives.check(path, "a Keras model", KERAS_MEMBERS)
    return path


def digest(path: pathlib.Path) -> str:
    """The SHA-256 of a file, or of a folder's files and their names."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        told = [f"{file.relative_to(path).as_posix()} {digest(file)}\n" for file in files]
        return hashlib.sha256("".join(told).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def exported(model: pathlib.Path, folder: pathlib.Path) -> bool:
    """Whether a folder of SavedModels has a whole one that was made of this model file."""
    # Other names are of versions that are being written.
    versions = [path for path in folder.glob("*") if path.name.isdecimal()]
    made_of = [(path / SOURCE).read_text() for path in versions if (path / SOURCE).exists()]
    return bool(made_of) and digest(model) in made_of


def _saved_model(path: pathlib.Path) -> pathlib.Path:
    check_name(path)
    if (path / "saved_model.pb").is_file():
        return path
    versions = [
        entry
        for entry in path.iterdir()
        if entry.name.isdecimal() and (entry / "saved_model.pb").is_file()
    ]
    if not versions:
        raise UserError(f"{path} cannot be read as a SavedModel: it holds no saved_model.pb")
    return max(versions, key=lambda entry: int(entry.name))
