"""TensorBoard on the loopback interface, as a user starts it."""

import contextlib
import json
import pathlib
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator


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


def until_all_is_read(ask: Callable[[str], bytes], seconds: float = 60.0) -> None:
    """Waits until TensorBoard has found every run.

    Args:
        ask: gives the answer to a route below data/.
        seconds: how long at most.

    Raises:
        TimeoutError: it has not by then.
    """
    former, deadline = None, time.monotonic() + seconds
    while time.monotonic() < deadline:
        # It looks for the projector's files when it is asked, in the background.
        projector = json.loads(ask("plugins_listing"))["projector"]["enabled"]
        found = ask("plugin/scalars/tags")
        if projector and found == former:
            return
        former = found
        time.sleep(1.0)
    raise TimeoutError("TensorBoard shows no projector")
