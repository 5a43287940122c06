"""One process at a time in a folder."""

import contextlib
import fcntl
import os
import pathlib
import platform
import time
from collections.abc import Iterator

from anchor_tf.errors import UserError
from anchor_tf.files.atomic import LOCK


@contextlib.contextmanager
def alone(folder: pathlib.Path, flag: str = "workdir") -> Iterator[int]:
    """Keeps other processes out of a folder, which is made as needed, and goes if it stays empty.

    The lock is the operating system's and ends with its holders, so that none can be stale,
    whatever the file .lock says.

    Args:
        folder: to be alone in.
        flag: what named it.

    Yields:
        A file descriptor. The folder is free once all who have inherited it are gone.

    Raises:
        UserError: another process is at work there (its number, machine and start are named), or
            the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(f"--{flag}={folder}: {error.strerror}") from error
    try:
        _take(descriptor, folder, flag)
        try:
            yield descriptor
        except UserError:
            _remove_if_empty(folder)
            raise
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: pathlib.Path, flag: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        raise UserError(
            f"{folder} is in use by {holder or 'another process'}: wait for it, stop it, or take "
            f"another --{flag}"
        ) from error
    except OSError as error:  # a file system without locks
        raise UserError(f"--{flag}={folder}: cannot be locked: {error.strerror}") from error
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    text = f"process {os.getpid()} on {platform.node()} since {since}\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _remove_if_empty(folder: pathlib.Path) -> None:
    """A mistake that shows late should leave nothing."""
    if [path.name for path in folder.iterdir()] == [LOCK]:
        (folder / LOCK).unlink()
        with contextlib.suppress(OSError):  # a link, a mount point, the working directory
            folder.rmdir()
