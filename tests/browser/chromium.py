"""Headless Chromium, told what to do through its debugging pipe; nothing else needs installing."""

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import time
from collections.abc import Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")
# Without a graphics card WebGL, in which the projector draws, is computed by the processor.
_FLAGS = (
    "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--disable-gpu-sandbox", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-dev-shm-usage",
    "--window-size=1400,900",
)  # fmt: skip


def path() -> str | None:
    """Where Chromium is: what the variable CHROMIUM names, or the first found in the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page of a browser.

    Args:
        commands: file descriptor that takes its commands.
        answers: file descriptor that gives its answers.
    """

    def __init__(self, commands: int, answers: int):
        self._commands, self._answers, self._left, self._number = commands, answers, b"", 0
        self._session = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._ask("Page.enable")

    def go(self, address: str) -> None:
        """Opens an address."""
        self._ask("Page.navigate", url=address)

    def value(self, script: str):
        """The value of a JavaScript expression; awaits a promise.

        Raises:
            RuntimeError: it threw.
        """
        answer = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float) -> float:
        """Waits until an expression is true; returns how long that took.

        Raises:
            TimeoutError: it was not by then.
        """
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            with contextlib.suppress(RuntimeError):  # the page is not that far
                if self.value(script):
                    return time.monotonic() - began
            time.sleep(0.05)
        raise TimeoutError(f"not true within {seconds} s: {script[-200:]}")

    def picture(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def _ask(self, method: str, **parameters) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _read(self, seconds: float = 60.0) -> dict:
        while b"\0" not in self._left:
            if not select.select([self._answers], [], [], seconds)[0]:
                raise TimeoutError(f"the browser has not answered for {seconds} s")
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise RuntimeError("the browser has ended")
            self._left += part
        first, _, self._left = self._left.partition(b"\0")
        return json.loads(first)


@contextlib.contextmanager
def opened(profile: pathlib.Path) -> Iterator[Page]:
    """A fresh browser, which ends with the block.

    Args:
        profile: an empty folder for its files.
    """
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()

    def as_it_expects_them():  # it reads from 3 and writes to 4
        copies = os.dup(to_browser), os.dup(from_browser)
        os.dup2(copies[0], 3)
        os.dup2(copies[1], 4)

    process = subprocess.Popen(
        [path(), *_FLAGS, f"--user-data-dir={profile}"],
        preexec_fn=as_it_expects_them,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(commands, answers)
    finally:
        os.close(commands)  # which tells it to end
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)
