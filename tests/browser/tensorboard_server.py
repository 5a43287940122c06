"""TensorBoard on the loopback interface, as a user starts it."""

import contextlib
import pathlib
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[str]:
    """Serves a folder of runs; yields the address, which ends with a slash.

    Raises:
        RuntimeError: it has not started within a minute.
    """
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tensorboard.main",
            f"--logdir={folder}",
            "--host=127.0.0.1",
            "--port=0",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.communicate()


def _address(process: subprocess.Popen) -> str:
    said, deadline = b"", time.monotonic() + 60.0
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stderr], [], [], 1.0)[0]:
            said += process.stderr.readline()
            found = re.search(rb"http://[\d.]+:\d+/", said)
            if found:
                return found[0].decode()
    raise RuntimeError(f"TensorBoard has not started: {said.decode()[-1000:]}")
