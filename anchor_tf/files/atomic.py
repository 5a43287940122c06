"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import BinaryIO

LOCK = ".lock"  # in a folder that one process at a time may write
_PARTIAL = ".partial."


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path` that takes its place when the block ends well.

    Folders are created as needed. After an exception `path` is as it was.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            yield file
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_path(path: pathlib.Path) -> pathlib.Path:
    """Where to write what is to take the place of `path`: beside it, under a name of its own."""
    return path.with_name(f"{_PARTIAL}{os.getpid()}.{path.name}")


def remove_partial(folder: pathlib.Path) -> None:
    """Removes, in all of a folder, what killed processes were writing; nobody may write there.

    Folders inside that hold a lock file of their own are left alone.
    """
    for left in list(folder.rglob(f"{_PARTIAL}*")):
        inside = (parent for parent in left.parents if folder in parent.parents)
        if any((parent / LOCK).exists() for parent in inside):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def put_in_place(temporary: pathlib.Path, path: pathlib.Path) -> None:
    """Gives a file or folder that is written its name; both are on the disk afterwards.

    A file takes the place of a former one.
    """
    for part in (*temporary.rglob("*"), temporary):
        _synchronise(part)
    temporary.replace(path)
    _synchronise(path.parent)


def _synchronise(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
