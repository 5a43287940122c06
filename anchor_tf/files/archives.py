"""Archives from anywhere: read only where what they unpack to has room."""

import os
import pathlib
import zipfile
from collections.abc import Collection

from anchor_tf.errors import UserError


def check(path: pathlib.Path, kind: str, members: Collection[str] = ()) -> None:
    """Reads the table of contents of a ZIP archive and nothing else.

    Args:
        path: the archive.
        kind: what it should be, in messages: "a Keras model" for example.
        members: files that it must hold.

    Raises:
        UserError: it is no ZIP archive, lacks a member, or would fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
    except Exception as error:  # damaged tables of contents raise anything
        raise UserError(f"{path} cannot be read as {kind}: {reason(error)}") from error
    missing = [name for name in members if name not in sizes]
    if missing:
        raise UserError(f"{path} cannot be read as {kind}: it holds no {missing[0]}")
    check_memory(f"{path} unpacks to", sum(sizes.values()))


def check_memory(what: str, size: int) -> None:
    """Checks that so many bytes fit into memory.

    Args:
        what: the beginning of the message, "X unpacks to" for example.
        size: bytes.

    Raises:
        UserError: they do not.
    """
    if size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise UserError(f"{what} {size / 2**30:.1f} GiB, more than the memory of this machine")


def is_whole(path: pathlib.Path) -> bool:
    """Whether every member of a ZIP archive has the checksum that the archive gives for it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # damaged archives raise anything
        return False


def reason(error: BaseException) -> str:
    """The first sentence of an error's message, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].partition(". ")[0] if lines else type(error).__name__
