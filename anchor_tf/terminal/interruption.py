"""SIGTERM, SIGINT and SIGHUP: a run ends soon, and nothing is lost."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

GRACE = 8.0  # seconds that a step may take to end


def wanted_signals() -> tuple[signal.Signals, ...]:
    """The signals that end a run: SIGHUP, of a closed terminal, unless `nohup` keeps it away."""
    # SIGINT counts even where a shell has left it ignored, as it does for what runs behind.
    kept_away = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *([] if kept_away else [signal.SIGHUP]))


class Interruption:
    """Ends the process at once, or lets a training step end first.

    Whatever is on the disk is whole at any moment, so that a process may end anywhere; only what a
    training has learnt since its last checkpoint is worth waiting for. Signals are taken by a
    thread: Python's own handlers run between two calls, and a call into TensorFlow can be long.

    Attributes:
        requested: number of the signal that came while steps were run, or None.
    """

    def __init__(self):
        self.requested: int | None = None
        self._lock = threading.Lock()
        self._waits = False

    def install(self) -> "Interruption":
        """Takes the signals from now on; in the main thread."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        wanted = wanted_signals()
        for number in wanted:
            signal.signal(number, lambda number, frame: None)
        threading.Thread(target=self._watch, args=[reading, wanted], daemon=True).start()
        return self

    @contextlib.contextmanager
    def steps(self) -> Iterator[None]:
        """While inside, the first signal only sets `requested`.

        The process ends after `GRACE` seconds if the step does not, and at once on a second
        signal.
        """
        self._waits = True
        try:
            yield
        finally:
            with self._lock:
                self._waits = False
        if self.requested is not None:  # it came after the last look at it
            _end(self.requested)

    def saving(self) -> None:
        """Says that the step has ended and its checkpoint is on its way: no limit any more."""
        self._waits = False

    def _watch(self, reading: int, wanted: tuple[signal.Signals, ...]) -> None:
        while True:
            for number in os.read(reading, 16):
                if number not in wanted:
                    continue
                with self._lock:
                    if self.requested is not None or not self._waits:
                        _end(number)
                    self.requested = number
                threading.Timer(GRACE, self._end_of_patience, [number]).start()

    def _end_of_patience(self, number: int) -> None:
        if self._waits:
            _end(number)


def _end(number: int) -> None:
    name = signal.Signals(number).name
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"stopped by {name}: the same command goes on from what is saved\n".encode())
    os._exit(128 + number)
